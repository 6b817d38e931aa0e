-- Arguments: name, how many to remove. Removes what is left of sessions whose index has got that name, and gives how many
-- it looked at.
local index = key('gone', ARGV[2])
local ids = redis.call('ZRANGE', index, 0, ARGV[3] - 1)
for _, id in ipairs(ids) do
  remove(id)
  redis.call('ZREM', index, id)
end
return #ids
