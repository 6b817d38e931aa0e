-- Arguments: tenant, name. Ends all sessions of the tenant at once by keeping its index under another name, for
-- clear.lua. Gives how many they are.
local index = key('tenant', ARGV[2])
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', index, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
local n = redis.call('ZCARD', index)
if n > 0 then redis.call('RENAME', index, key('gone', ARGV[3])) end
return n
