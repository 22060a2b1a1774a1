-- Reads a slot, or leases it if it is empty, where the server knows no SET with both NX and GET.
-- KEYS[1] slot; ARGV[1] the lease as slot content; ARGV[2] its length in ms
-- Returns the content, or nil where the lease was taken.
local present = redis.pcall('GET', KEYS[1])
if present then
  return type(present) == 'string' and present or ''
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
