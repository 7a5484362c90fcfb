"""The evidence of an hour as rules about idle GPUs read it, with what was corrected since."""

MEASURED = "('used', 'idle', 'parked', 'hung')"

HOURS = """
SELECT h.lease_id, h.device_id, h.hour, h.used_seconds AS used, h.idle_seconds AS idle, h.parked_seconds AS parked,
       h.hung_seconds AS hung
FROM allocations_usagehour h JOIN spans s ON s.lease_id = h.lease_id AND s.device_id = h.device_id
WHERE h.hour >= s.since AND h.hour < s.until
UNION ALL
SELECT c.lease_id, c.device_id, c.hour,
       c.seconds * ((c.to_class = 'used')::int - (c.from_class = 'used')::int),
       c.seconds * ((c.to_class = 'idle')::int - (c.from_class = 'idle')::int),
       c.seconds * ((c.to_class = 'parked')::int - (c.from_class = 'parked')::int),
       c.seconds * ((c.to_class = 'hung')::int - (c.from_class = 'hung')::int)
FROM allocations_usagecorrection c JOIN spans s ON s.lease_id = c.lease_id AND s.device_id = c.device_id
WHERE c.hour >= s.since AND c.hour < s.until
"""
"""Device-seconds of each measured class by lease, device and hour, of a CTE `spans` of leases, devices and times;
an hour with corrections has several rows, which add up."""
