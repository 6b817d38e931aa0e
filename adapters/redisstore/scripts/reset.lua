-- Argument: account. Gives how many counters it removed.
local n = 0
for _, k in ipairs(redis.call('SMEMBERS', key('account', ARGV[2]))) do
  local c = redis.call('GET', key('attempt', k))
  if not known(c) or account(c) == ARGV[2] then n = n + remove(k) end
end
redis.call('DEL', key('account', ARGV[2]))
return n
