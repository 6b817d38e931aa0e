-- Arguments: tenant, user. Gives token and record of each session.
local list = {}
for _, id in ipairs(redis.call('ZRANGE', key('user', owner(ARGV[2], ARGV[3])), 0, -1)) do
  local token = redis.call('GET', key('id', id))
  local s = token and find(token)
  if s then
    list[#list + 1] = token
    list[#list + 1] = s.record
  end
end
return list
