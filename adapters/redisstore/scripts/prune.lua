-- Arguments: expired, idle, how many to look at. Gives how many it looked at and how many it removed.
local looked, n = 0, 0
for _, by in ipairs({ { ends, ARGV[2] }, { seen, ARGV[3] } }) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', by[1], '-inf', '(' .. score(by[2]), 'LIMIT', 0, ARGV[4])) do
    looked = looked + 1
    n = n + remove(id)
  end
end
return { looked, n }
