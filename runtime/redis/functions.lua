-- The server side of a shard: every function runs inside Redis, alone, and touches only the keys it is given, which share
-- one hash tag. A function is isolated but not transactional, so each one checks everything first and writes last, and
-- nothing after its first write can fail.
-- @VERSION@ is replaced by a hash of this text when the library is loaded: releases live side by side during an upgrade.

local GROUP = 'runtime'

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Creates the group from the first entry: taken entries are deleted, so whatever stands in the stream is still to be read.
-- Returns 'damaged' where the key is no stream, 'made', or 'present'.
local function ensure_group(stream, group)
  local kind = redis.call('TYPE', stream)['ok']
  if kind ~= 'none' and kind ~= 'stream' then
    return 'damaged'
  end
  local answer = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  return answer['err'] and 'present' or 'made'
end

-- acquire: takes the lease of a shard when it is free, run out, or the caller's own; a fresh lease has the next epoch.
-- KEYS lease, commands          ARGV owner, ttl in ms, incarnation of the site (empty: not looked at)
-- Returns {'acquired', epoch} | {'held', owner, remaining ms} | {'damaged', key} | {'vanished', incarnation that is there}
-- Writes the lease, and the group of the command stream.
local function acquire(keys, args)
  local held = redis.call('HMGET', keys[1], 'owner', 'expires', 'epoch', 'incarnation')
  if args[3] ~= '' and held[4] ~= args[3] then
    return { 'vanished', held[4] or '' }
  end
  local now = now_ms()
  local expires = tonumber(held[2] or '0')
  if held[1] and held[1] ~= args[1] and expires > now then
    return { 'held', held[1], expires - now }
  end
  if ensure_group(keys[2], GROUP) == 'damaged' then
    return { 'damaged', keys[2] }
  end
  local epoch = tonumber(held[3] or '0') + 1
  redis.call('HSET', keys[1], 'owner', args[1], 'expires', now + tonumber(args[2]), 'epoch', epoch, 'sequence', 0, 'journal', '')
  return { 'acquired', epoch }
end

-- renew: prolongs a lease that is still the caller's.
-- KEYS lease                    ARGV owner, epoch, ttl in ms
-- Returns 1, or 0 when the lease is another's. Writes the expiry.
local function renew(keys, args)
  local held = redis.call('HMGET', keys[1], 'owner', 'epoch')
  if held[1] ~= args[1] or held[2] ~= args[2] then
    return 0
  end
  redis.call('HSET', keys[1], 'expires', now_ms() + tonumber(args[3]))
  return 1
end

-- release: gives a lease back, if it is still the caller's.
-- KEYS lease                    ARGV owner, epoch
-- Returns 1 or 0. Writes the expiry.
local function release(keys, args)
  local held = redis.call('HMGET', keys[1], 'owner', 'epoch')
  if held[1] ~= args[1] or held[2] ~= args[2] then
    return 0
  end
  redis.call('HSET', keys[1], 'expires', 0)
  return 1
end

-- groups: makes sure that streams have their group, after a stream or a group vanished under a reader.
-- KEYS streams                  ARGV group
-- Returns the number of groups that were missing. Writes missing streams and groups.
local function groups(keys, args)
  local made = 0
  for _, stream in ipairs(keys) do
    if ensure_group(stream, args[1]) == 'made' then
      made = made + 1
    end
  end
  return made
end

-- Whether the id of an entry comes after another one.
local function is_after(id, other)
  local ms, number = id:match('^(%d+)-(%d+)$')
  local other_ms, other_number = other:match('^(%d+)-(%d+)$')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms > other_ms or ms == other_ms and tonumber(number) > tonumber(other_number)
end

-- Like ack, for inputs that a site which lost its place hands over: nobody may have read them through the group. They count
-- as read then, or they would seem to have vanished from the stream when the site has its place again.
local function take_unread(key, args, from, to)
  local last, read
  for _, flat in ipairs(redis.pcall('XINFO', 'GROUPS', key)) do
    local group = {}
    for at = 1, #flat, 2 do
      group[flat[at]] = flat[at + 1]
    end
    if group['name'] == GROUP then
      last, read = group['last-delivered-id'], group['entries-read']
    end
  end
  if not last then
    redis.call('XDEL', key, unpack(args, from, to))
    return
  end
  redis.call('XACK', key, GROUP, unpack(args, from, to))
  local unread = 0
  for at = from, to do
    if redis.call('XDEL', key, args[at]) == 1 and is_after(args[at], last) then
      unread = unread + 1
    end
  end
  if unread > 0 and read then
    redis.call('XGROUP', 'SETID', key, GROUP, last, 'ENTRIESREAD', read + unread)
  end
end

-- What each operation of a commit expects its key to be, how it is done with the arguments from..to, and, where there are
-- long texts among its arguments, that each n-th is one.
local operations = {
  hset = { 'hash', function(key, args, from, to) redis.call('HSET', key, unpack(args, from, to)) end },
  -- store: field, text, and so on
  store = { 'hash', function(key, args, from, to) redis.call('HSET', key, unpack(args, from, to)) end, 2 },
  hdel = { 'hash', function(key, args, from, to) redis.call('HDEL', key, unpack(args, from, to)) end },
  sadd = { 'set', function(key, args, from, to) redis.call('SADD', key, unpack(args, from, to)) end },
  srem = { 'set', function(key, args, from, to) redis.call('SREM', key, unpack(args, from, to)) end },
  -- post: a message for an inbox that is there; one for a mailbox that was closed is for nobody
  post = { 'stream', function(key, args, from, to) redis.call('XADD', key, 'NOMKSTREAM', '*', unpack(args, from, to)) end },
  xadd = { 'stream', function(key, args, from, to) return redis.call('XADD', key, '*', unpack(args, from, to)) end },
  -- append: field, text, and so on
  append = { 'stream', function(key, args, from, to) return redis.call('XADD', key, '*', unpack(args, from, to)) end, 2 },
  -- reply: arguments are the length to keep, the time to live in ms, then fields
  reply = { 'stream', function(key, args, from, to)
    redis.call('XADD', key, 'MAXLEN', '~', args[from], '*', unpack(args, from + 2, to))
    redis.call('PEXPIRE', key, args[from + 1])
  end },
  xdel = { 'stream', function(key, args, from, to) redis.call('XDEL', key, unpack(args, from, to)) end },
  -- ack: an input is done; acknowledged and deleted, so that what stands in the stream is what is still to do
  ack = { 'stream', function(key, args, from, to)
    redis.call('XACK', key, GROUP, unpack(args, from, to))
    redis.call('XDEL', key, unpack(args, from, to))
  end },
  pass = { 'stream', take_unread },
  group = { 'stream', function(key, args, from) redis.pcall('XGROUP', 'CREATE', key, args[from], '0', 'MKSTREAM') end },
  del = { nil, function(key) redis.call('UNLINK', key) end },
}

-- What a commit must pass at a site of a pair; nil where it passes. A gate that is found too late or too early is closed: it
-- opens again for the next epoch only, or when whoever holds the site opens it. A passed gate remembers the time.
local function barrier(lease, passage, epoch, until_ms, seen)
  if passage == '' then
    return epoch and 'pair' or nil
  end
  local open = epoch and until_ms ~= '0'
  if passage == 'mirror' then
    if not epoch then
      return 'no-gate'
    end
    return open and 'open' or nil
  end
  if not open then
    return 'closed'
  end
  if epoch ~= passage then
    return 'other-epoch'
  end
  local now = now_ms()
  local why = now < tonumber(seen) and 'clock-went-back' or now >= tonumber(until_ms) and 'past-time' or nil
  if why then
    redis.call('HSET', lease, 'gate_until', 0)
  else
    redis.call('HSET', lease, 'gate_seen', now)
  end
  return why
end

-- gate: opens, prolongs or closes the gate of a shard.
-- KEYS lease                    ARGV site epoch, time that it is open in ms (0: close; -1: make it, closed, where there is none)
-- Returns {'opened', until in ms} | {'closed'} | {'refused', why, epoch of the gate}
-- Writes the gate; a step back of the clock under one epoch closes it.
local function gate(keys, args)
  local held = redis.call('HMGET', keys[1], 'gate_epoch', 'gate_until', 'gate_seen')
  local epoch = tonumber(held[1] or '0')
  local wanted = tonumber(args[1])
  local for_ms = tonumber(args[2])
  if for_ms == -1 then
    redis.call('HSET', keys[1], 'gate_epoch', epoch, 'gate_until', 0, 'gate_seen', held[3] or 0)
    return { 'closed' }
  end
  if for_ms == 0 then
    if held[1] and wanted >= epoch then
      redis.call('HSET', keys[1], 'gate_until', 0)
    end
    return { 'closed' }
  end
  if wanted < epoch then
    return { 'refused', 'other-epoch', epoch }
  end
  local now = now_ms()
  if wanted == epoch and now < tonumber(held[3] or '0') then
    redis.call('HSET', keys[1], 'gate_until', 0)
    return { 'refused', 'clock-went-back', epoch }
  end
  if redis.call('HEXISTS', keys[1], 'copying') == 1 then
    return { 'refused', 'copying', epoch }
  end
  redis.call('HSET', keys[1], 'gate_epoch', wanted, 'gate_until', now + for_ms, 'gate_seen', now)
  return { 'opened', now + for_ms }
end

-- commit: makes one batch true, all of it or nothing, once (R1, R5).
-- KEYS lease, then every key that an operation names by its place
-- ARGV epoch, sequence, place of the journal in KEYS (0: no record), passage, operations, then the long texts in order
--      passage: empty at a site on its own, the site epoch at the active one of a pair, "mirror" at the standby
--      operations: a JSON array, in it per operation: name, place of key, count of arguments, arguments (a long text as 0)
-- Returns {'committed', journal id} | {'repeated', journal id} | {'stale', epoch} | {'gap', expected sequence} |
--         {'gated', why} | {'damaged', what, key if it is about one}; only 'committed' writes, but for the time at the gate.
local function commit(keys, argv)
  local held = redis.call('HMGET', keys[1], 'epoch', 'sequence', 'journal', 'gate_epoch', 'gate_until', 'gate_seen')
  if held[1] ~= argv[1] then
    return { 'stale', held[1] or '0' }
  end
  local sequence = tonumber(argv[2])
  local last = tonumber(held[2])
  if sequence == last then
    return { 'repeated', held[3] }
  end
  if sequence ~= last + 1 then
    return { 'gap', last + 1 }
  end
  local why = barrier(keys[1], argv[4], held[4], held[5], held[6])
  if why then
    return { 'gated', why }
  end
  local args = cjson.decode(argv[5])
  local count = #args
  local at = 1
  local taken = 5
  local checked = {}
  while at <= count do
    local operation = operations[args[at]]
    local key = keys[args[at + 1]]
    if not operation or not key then
      return { 'damaged', 'operation ' .. tostring(args[at]) .. ' at argument ' .. at }
    end
    local expected = operation[1]
    if expected and checked[key] ~= expected then
      local kind = redis.call('TYPE', key)['ok']
      if kind ~= 'none' and kind ~= expected then
        return { 'damaged', key .. ' is a ' .. kind .. ', not a ' .. expected, key }
      end
      checked[key] = expected
    end
    local size = args[at + 2]
    local every = operation[3]
    if every then
      for place = at + 2 + every, at + 2 + size, every do
        taken = taken + 1
        args[place] = argv[taken]
      end
    end
    at = at + 3 + size
  end
  if taken ~= #argv then
    return { 'damaged', taken .. ' arguments are used of ' .. #argv }
  end
  local journal_place = tonumber(argv[3])
  local journal = ''
  at = 1
  while at <= count do
    local size = args[at + 2]
    local result = operations[args[at]][2](keys[args[at + 1]], args, at + 3, at + 2 + size)
    if args[at + 1] == journal_place then
      journal = result
    end
    at = at + 3 + size
  end
  redis.call('HSET', keys[1], 'sequence', sequence, 'journal', journal)
  return { 'committed', journal }
end

redis.register_function{ function_name = 'orchestrator_acquire_@VERSION@', callback = acquire, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'orchestrator_renew_@VERSION@', callback = renew, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'orchestrator_release_@VERSION@', callback = release, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'orchestrator_groups_@VERSION@', callback = groups, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'orchestrator_gate_@VERSION@', callback = gate, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'orchestrator_commit_@VERSION@', callback = commit, flags = { 'allow-oom' } }
