-- Fills a slot whose lease the caller holds.
-- KEYS[1] slot; ARGV[1] the lease, ARGV[2] the record, both as slot content; ARGV[3] life time in ms, '' for ever, '0' over
-- Returns 1 where the lease was the caller's, else 0.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
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
