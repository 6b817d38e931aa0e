-- Arguments: token, old data, new data. Gives 1, 0 when the data is not the old one, or -1 when there is no session.
local s = find(ARGV[2])
if not s then return -1 end
if s.data ~= ARGV[3] then return 0 end
redis.call('SET', key('session', ARGV[2]), s.head .. ARGV[4], 'KEEPTTL')
return 1
