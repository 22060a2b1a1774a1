-- Tells a slot of a newer record. Anything but a record of the same generation leaves, and so does an absence, which has version 0.
-- KEYS[1] slot; ARGV[1] the record as slot content; ARGV[2] life time in ms, '' for ever, '0' over
-- Returns 1 where the slot then holds exactly this record, else 0.
local present = redis.pcall('GET', KEYS[1])
if not present then
  return 0
end
if type(present) == 'string' and #present >= 34 and string.byte(present) == 0xA2
  and string.sub(present, 19, 26) == string.sub(ARGV[1], 19, 26) then
  -- In halves, because a Lua number holds 53 bits.
  local high, low = struct.unpack('>I4I4', present, 11)
  local given_high, given_low = struct.unpack('>I4I4', ARGV[1], 11)
  local same = high == given_high and low == given_low
  if high == 0 and low == 0 then
    -- An absence does not say when it was found: the record may be of before.
    redis.call('DEL', KEYS[1])
    return 0
  end
  if high > given_high or (high == given_high and low > given_low)
    or (same and string.sub(present, 3, 10) == string.sub(ARGV[1], 3, 10)) then
    return (present == ARGV[1] and ARGV[2] ~= '0') and 1 or 0
  end
  if ARGV[2] ~= '0' then
    local stored
    if ARGV[2] == '' then
      stored = redis.pcall('SET', KEYS[1], ARGV[1])
    else
      stored = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    end
    if not stored.err then
      return 1
    end
    -- Out of memory: the older record must not stay either.
  end
end
redis.call('DEL', KEYS[1])
return 0
