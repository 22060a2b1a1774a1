-- Stores what was loaded, under a version newer than any that the key had, if the slot still holds what was seen there.
-- KEYS[1] slot; ARGV[1] the record as slot content, its version ignored; ARGV[2] life time in ms, '' for ever, '0' over;
-- ARGV[3] what was seen: a lease, or all of a record that stands before the payload
-- Returns the version, 8 bytes, or nil where something else is there.
local present = redis.pcall('GETRANGE', KEYS[1], 0, 33)
if present ~= ARGV[3] then
  return false
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local high, low = math.floor(now / 4294967296), now % 4294967296
if #present == 34 then
  -- In halves, because a Lua number holds 53 bits.
  local present_high, present_low = struct.unpack('>I4I4', present, 11)
  if present_high > high or (present_high == high and present_low >= low) then
    high, low = present_high, present_low + 1
    if low == 4294967296 then
      high, low = high + 1, 0
    end
  end
end
local version = struct.pack('>I4I4', high, low)
local content = string.sub(ARGV[1], 1, 10) .. version .. string.sub(ARGV[1], 19)
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == '' then
  redis.call('SET', KEYS[1], content)
else
  redis.call('SET', KEYS[1], content, 'PX', ARGV[2])
end
return version
