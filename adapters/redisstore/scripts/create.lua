-- Arguments: tenant, user, impersonator, ID, token, version, record, milliseconds to keep it. Gives 1, or 0 when the
-- version is another.
local tenant, user, staff, id, token, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[8]
local keep = tonumber(ARGV[9])

if version(owner(tenant, user)) ~= ARGV[7] then return 0 end
if redis.call('EXISTS', key('session', token), key('id', id)) > 0 then
  return redis.error_reply('ERR there is a session with that token or ID')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- index adds the session to an index and takes from it what Redis has dropped meanwhile.
local function index(k, at)
  redis.call('ZADD', k, at, id)
  if redis.call('PTTL', k) < keep then redis.call('PEXPIRE', k, keep) end
end
local indexes = { key('user', owner(tenant, user)), key('tenant', tenant) }
if staff ~= '' then indexes[3] = key('staff', owner(tenant, staff)) end
for _, k in ipairs(indexes) do
  redis.call('ZREMRANGEBYSCORE', k, '-inf', now)
  index(k, now + keep)
end
-- More than one goes for each that comes, so that these do not grow either when nobody prunes.
for _, old in ipairs(redis.call('ZRANGE', ends, 0, 9)) do
  if redis.call('EXISTS', key('id', old)) == 0 then
    redis.call('ZREM', ends, old)
    redis.call('ZREM', seen, old)
  end
end
index(seen, score(record:sub(2, 9)))
index(ends, score(record:sub(10, 17)))

redis.call('SET', key('session', token), record, 'PX', keep)
redis.call('SET', key('id', id), token, 'PX', keep)
return 1
