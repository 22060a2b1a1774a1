-- Begins a new era in a list of invalidated tags that no relayer tells of.
-- KEYS[1] the list; ARGV[1] a generation that no list had, 8 bytes; ARGV[2] the most tags that a list keeps; the tags after that
-- Eras go by the clock, in microseconds, which a Lua number counts exactly until the year 2255: one that the server has lost is not come to again.
local time = redis.call('TIME')
local generation, era = ARGV[1], time[1] * 1000000 + time[2]
local head = redis.pcall('HGET', KEYS[1], 'h')
local count = type(head) == 'string' and #head == 20 and struct.unpack('>I4', head, 17)
if count and count <= tonumber(ARGV[2]) then
  generation = string.sub(head, 1, 8)
  local high, low = struct.unpack('>I4I4', head, 9)
  era = math.max(era, high * 4294967296 + low + 1)
else
  redis.call('DEL', KEYS[1])
end
local stamp = struct.pack('>I4I4', math.floor(era / 4294967296), era % 4294967296)
for index = 3, #ARGV do
  redis.call('HSET', KEYS[1], 't' .. ARGV[index], stamp)
end
-- The head is no tag, whether or not it is there already.
local tags = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], 'h')
redis.call('HSET', KEYS[1], 'h', generation .. stamp .. struct.pack('>I4', tags))
return 1
