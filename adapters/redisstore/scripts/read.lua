-- Arguments: keys. Gives their counters, empty for none.
local have = {}
for i = 2, #ARGV do have[i - 1] = redis.call('GET', key('attempt', ARGV[i])) or '' end
return have
