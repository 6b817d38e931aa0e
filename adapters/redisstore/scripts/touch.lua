-- Arguments: token, and Now, AliveAfter and WriteBefore. Gives the record, or nil when there is none alive.
local s = find(ARGV[2])
local now, after, before = ARGV[3], ARGV[4], ARGV[5]
if not s or not less(now, s.expires) or not less(after, s.seen) then return false end
if less(s.seen, before) and less(s.seen, now) then
  redis.call('SETRANGE', key('session', ARGV[2]), 1, now)
  redis.call('ZADD', seen, 'XX', score(now), s.id)
  return s.record:sub(1, 1) .. now .. s.record:sub(10)
end
return s.record
