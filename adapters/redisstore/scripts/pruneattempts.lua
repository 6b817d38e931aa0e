-- Arguments: kind, before, below, where to begin, how many to look at. Gives how many it looked at, removed, and left.
local index = key('kind', ARGV[2])
local looked, n, left = 0, 0, 0
for _, k in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. score(ARGV[3]), 'LIMIT', ARGV[5], ARGV[6])) do
  looked = looked + 1
  local c = redis.call('GET', key('attempt', k))
  if not c or known(c) and kind(c) ~= ARGV[2] then
    redis.call('ZREM', index, k)
  elseif not known(c) or failures(c) >= tonumber(ARGV[4]) then
    left = left + 1
  else
    n = n + remove(k)
  end
end
return { looked, n, left }
