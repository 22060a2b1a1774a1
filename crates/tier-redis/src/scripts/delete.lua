-- Deletes a record as truth, under a version newer than any that the key had.
-- KEYS[1] slot; ARGV[1] now in Unix milliseconds
-- Returns the version, 8 bytes, or nil where there was no live record.
local present = redis.pcall('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if type(present) ~= 'string' or #present < 34 or string.byte(present) ~= 0xA2 then
  return false
end
-- In halves, because a Lua number holds 53 bits; times need no more.
local present_high, present_low = struct.unpack('>I4I4', present, 11)
local deadline_high, deadline_low = struct.unpack('>i4I4', present, 27)
local deadline = deadline_high * 4294967296 + deadline_low
if deadline ~= 0 and deadline <= tonumber(ARGV[1]) then
  return false
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local high, low = math.floor(now / 4294967296), now % 4294967296
if present_high > high or (present_high == high and present_low >= low) then
  high, low = present_high, present_low + 1
  if low == 4294967296 then
    high, low = high + 1, 0
  end
end
return struct.pack('>I4I4', high, low)
