-- Arguments: tenant, user, ID. Gives how many sessions it removed.
local index = key('user', owner(ARGV[2], ARGV[3]))
if not redis.call('ZSCORE', index, ARGV[4]) then return 0 end
local n = remove(ARGV[4])
redis.call('ZREM', index, ARGV[4])
return n
