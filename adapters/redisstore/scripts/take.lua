-- Arguments, for each lane: key, the counter that was read, the one to write, milliseconds to keep it or 0. Writes all
-- of them and gives nothing, or, when one is not what was read, writes none and gives the present ones.
local have, changed = {}, false
for i = 2, #ARGV, 4 do
  local c = redis.call('GET', key('attempt', ARGV[i])) or ''
  have[#have + 1] = c
  changed = changed or c ~= ARGV[i + 1]
end
if changed then return have end

for i = 2, #ARGV, 4 do
  local k, c, keep = ARGV[i], ARGV[i + 2], tonumber(ARGV[i + 3])
  local index = key('kind', kind(c))
  redis.call('SET', key('attempt', k), c)
  if keep > 0 then
    redis.call('PEXPIRE', key('attempt', k), keep)
    -- More than one goes for each that comes, so that the index does not grow either when nobody prunes.
    for _, old in ipairs(redis.call('ZRANGE', index, 0, 4)) do
      if redis.call('EXISTS', key('attempt', old)) == 0 then redis.call('ZREM', index, old) end
    end
  end
  redis.call('ZADD', index, score(c:sub(14, 21)), k)
  if account(c) ~= none then redis.call('SADD', key('account', account(c)), k) end
end
return {}
