-- Empties a slot, unless it holds a record of a version that is not older than the given one.
-- KEYS[1] slot; ARGV[1] the version, 8 bytes
-- Returns 1 where the record stays, else 0.
local present = redis.pcall('GETRANGE', KEYS[1], 0, 33)
if type(present) == 'string' and #present == 34 and string.byte(present) == 0xA2 then
  -- In halves, because a Lua number holds 53 bits.
  local high, low = struct.unpack('>I4I4', present, 11)
  local given_high, given_low = struct.unpack('>I4I4', ARGV[1])
  if high > given_high or (high == given_high and low >= given_low) then
    return 1
  end
end
redis.call('DEL', KEYS[1])
return 0
