-- SPDX-License-Identifier: Apache-2.0
-- What all scripts on attempts share. ARGV[1] is the prefix of the keys. The Go package's comment tells the layout.

local prefix = ARGV[1] .. ':'
local none = string.rep('\0', 32)

local function key(kind, name) return prefix .. kind .. ':' .. name end

-- known tells whether a counter is there and of this version.
local function known(c) return c and string.byte(c) == 1 end
local function failures(c) return (struct.unpack('>I4', c, 2)) end
local function account(c) return c:sub(22, 53) end
local function kind(c) return c:sub(54) end

-- score gives a time of 8 bytes for a sorted set, exactly from the year 1684 to 2255.
local function score(t)
  local h, l = struct.unpack('>i4I4', t)
  return string.format('%.17g', h * 4294967296 + l)
end

-- remove removes the counter with a key and tells how many that were.
local function remove(k)
  local c = redis.call('GET', key('attempt', k))
  if known(c) then
    redis.call('ZREM', key('kind', kind(c)), k)
    redis.call('SREM', key('account', account(c)), k)
  end
  return redis.call('DEL', key('attempt', k))
end
