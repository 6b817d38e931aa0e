-- SPDX-License-Identifier: Apache-2.0
-- What all scripts on sessions share. ARGV[1] is the prefix of the keys. The Go package's comment tells the layout.

local prefix = ARGV[1] .. ':'
local ends, seen, versions = prefix .. 'ends', prefix .. 'seen', prefix .. 'versions'

local function key(kind, name) return prefix .. kind .. ':' .. name end
local function owner(tenant, user) return #tenant .. ':' .. tenant .. ':' .. user end

-- less compares two times of 8 bytes. A Lua number could not hold each of them exactly.
local function less(a, b)
  local ah, al = struct.unpack('>i4I4', a)
  local bh, bl = struct.unpack('>i4I4', b)
  return ah < bh or ah == bh and al < bl
end

-- score gives a time of 8 bytes for a sorted set, exactly from the year 1684 to 2255.
local function score(t)
  local h, l = struct.unpack('>i4I4', t)
  return string.format('%.17g', h * 4294967296 + l)
end

-- parse gives the parts of a record, or nil for none and for one of another version.
local function parse(record)
  if not record or string.byte(record) ~= 1 then return nil end
  local fixed, proofs = struct.unpack('>I4I4', record, 18)
  local s = { record = record, seen = record:sub(2, 9), expires = record:sub(10, 17) }
  s.tenant, s.user, s.staff, s.id = struct.unpack('>I4c0I4c0I4c0I4c0', record, 26)
  s.fixed = record:sub(26, 25 + fixed)
  s.head = record:sub(1, 25 + fixed + proofs)
  s.data = record:sub(26 + fixed + proofs)
  return s
end

-- find gives the session with a token. One that an index does not know is over: the act that ends it would miss it.
local function find(token)
  local s = parse(redis.call('GET', key('session', token)))
  if s and redis.call('ZSCORE', key('user', owner(s.tenant, s.user)), s.id)
    and redis.call('ZSCORE', key('tenant', s.tenant), s.id)
    and (s.staff == '' or redis.call('ZSCORE', key('staff', owner(s.tenant, s.staff)), s.id)) then
    return s
  end
  return nil
end

-- remove removes the session with an ID, also one of another version, and tells how many that were.
local function remove(id)
  redis.call('ZREM', ends, id)
  redis.call('ZREM', seen, id)
  local token = redis.call('GET', key('id', id))
  if not token then return 0 end
  local s = parse(redis.call('GET', key('session', token)))
  if s then
    redis.call('ZREM', key('user', owner(s.tenant, s.user)), id)
    redis.call('ZREM', key('tenant', s.tenant), id)
    if s.staff ~= '' then redis.call('ZREM', key('staff', owner(s.tenant, s.staff)), id) end
  end
  redis.call('DEL', key('id', id))
  return redis.call('DEL', key('session', token))
end

-- removeAll removes the sessions that an index knows, but one.
local function removeAll(index, except)
  local n = 0
  for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    if id ~= except then
      n = n + remove(id)
      redis.call('ZREM', index, id)
    end
  end
  return n
end

-- version gives a user's version as text.
local function version(who)
  local v = redis.call('HGET', versions, who) or redis.call('HGET', versions, '')
  if not v then
    local now = redis.call('TIME')
    v = now[1] .. string.format('%06d', now[2])
    redis.call('HSET', versions, '', v)
  end
  return v
end
