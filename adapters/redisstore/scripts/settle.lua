-- Arguments: how many keys to remove, those, and the keys to give one failure back.
local last = 2 + tonumber(ARGV[2])
for i = 3, last do remove(ARGV[i]) end
for i = last + 1, #ARGV do
  local k = key('attempt', ARGV[i])
  local c = redis.call('GET', k)
  if known(c) and failures(c) > 0 then redis.call('SETRANGE', k, 1, struct.pack('>I4', failures(c) - 1)) end
end
return 0
