-- Leases a slot over the record that its caller saw there.
-- KEYS[1] slot; ARGV[1] all of the record that stands before the payload; ARGV[2] the lease as slot content; ARGV[3] its length in ms
-- Returns 1 where the lease was taken, else 0.
if redis.pcall('GETRANGE', KEYS[1], 0, 33) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
