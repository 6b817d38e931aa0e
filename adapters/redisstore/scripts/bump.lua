-- Arguments: tenant, user, ID of the session to leave. Gives how many sessions it removed.
local who = owner(ARGV[2], ARGV[3])
redis.call('HSETNX', versions, who, version(who))
redis.call('HINCRBY', versions, who, 1)
return removeAll(key('user', who), ARGV[4]) + removeAll(key('staff', who), ARGV[4])
