-- Fills a slot that holds no record, whoever holds its lease: for tests that show why this is wrong.
-- KEYS[1] slot; ARGV[1] the lease, ARGV[2] the record, both as slot content; ARGV[3] life time in ms, '' for ever, '0' over
-- Returns 1 where the slot was filled, else 0.
local present = redis.pcall('GET', KEYS[1])
if present and (type(present) ~= 'string' or string.byte(present) == 0xA2) then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
