-- Empties a slot that holds a lease, or a record of another generation than 0.
-- KEYS[1] slot
-- Returns 1 where it did, else 0.
local present = redis.pcall('GETRANGE', KEYS[1], 0, 33)
if type(present) ~= 'string' then
  return 0
end
local is_lease = #present == 17 and string.byte(present) == 0xB2
local is_loaded = #present == 34 and string.byte(present) == 0xA2 and string.sub(present, 19, 26) ~= string.rep('\0', 8)
if is_lease or is_loaded then
  redis.call('DEL', KEYS[1])
  return 1
end
return 0
