-- Tells a list of invalidated tags of a new era.
-- KEYS[1] the list; ARGV[1] the generation, 8 bytes; ARGV[2] the era, 8 bytes; the tags after that
-- Era 1 begins a list. Returns 1, or 0 where the list is of another generation or at that era already.
local high, low = struct.unpack('>I4I4', ARGV[2])
if high == 0 and low == 1 then
  redis.call('DEL', KEYS[1])
else
  local head = redis.pcall('HGET', KEYS[1], 'h')
  if type(head) ~= 'string' or #head ~= 20 or string.sub(head, 1, 8) ~= ARGV[1] then
    return 0
  end
  -- In halves, because a Lua number holds 53 bits.
  local present_high, present_low = struct.unpack('>I4I4', head, 9)
  if present_high > high or (present_high == high and present_low >= low) then
    return 0
  end
end
for index = 3, #ARGV do
  redis.call('HSET', KEYS[1], 't' .. ARGV[index], ARGV[2])
end
-- The head is no tag, whether or not it is there already.
local tags = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], 'h')
redis.call('HSET', KEYS[1], 'h', ARGV[1] .. ARGV[2] .. struct.pack('>I4', tags))
return 1
