-- Arguments: old token, new token, LastSeen, proofs. Gives 1, or 0 when there is no session with the old token.
local s = find(ARGV[2])
if not s then return 0 end
local old, new = key('session', ARGV[2]), key('session', ARGV[3])
if redis.call('EXISTS', new) > 0 then return redis.error_reply('ERR there is a session with that token') end
-- RENAME and KEEPTTL leave the time at which it goes as it is.
redis.call('RENAME', old, new)
redis.call('SET', new, s.record:sub(1, 1) .. ARGV[4] .. s.expires .. struct.pack('>I4I4', #s.fixed, #ARGV[5])
  .. s.fixed .. ARGV[5] .. s.data, 'KEEPTTL')
redis.call('SET', key('id', s.id), ARGV[3], 'KEEPTTL')
redis.call('ZADD', seen, 'XX', score(ARGV[4]), s.id)
return 1
