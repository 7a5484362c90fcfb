"""The evidence of an hour as rules about idle GPUs read it, with what was corrected since."""

_HOURS = """
SELECT h.lease_id, h.device_id, h.hour, h.used_seconds AS used, h.idle_seconds AS idle, h.parked_seconds AS parked,
       h.hung_seconds AS hung
FROM allocations_usagehour h $H
UNION ALL
SELECT c.lease_id, c.device_id, c.hour,
       c.seconds * ((c.to_class = 'used')::int - (c.from_class = 'used')::int),
       c.seconds * ((c.to_class = 'idle')::int - (c.from_class = 'idle')::int),
       c.seconds * ((c.to_class = 'parked')::int - (c.from_class = 'parked')::int),
       c.seconds * ((c.to_class = 'hung')::int - (c.from_class = 'hung')::int)
FROM allocations_usagecorrection c $C
"""


def _hours(condition: str) -> str:
    """Both tables, each under the same condition on its rows (`x`)."""
    return _HOURS.replace("$H", condition.replace("x.", "h.")).replace("$C", condition.replace("x.", "c."))


HOURS = _hours(
    "JOIN spans s ON s.lease_id = x.lease_id AND s.device_id = x.device_id WHERE x.hour >= s.since AND x.hour < s.until"
)
"""Device-seconds of each measured class by lease, device and hour, of a CTE `spans` of leases, devices and times;
an hour with corrections has several rows, which add up."""
HOURS_OF_ONE = _hours(
    "WHERE x.lease_id = l.lease_id AND x.device_id = l.device_id AND x.hour >= l.first AND x.hour <= l.last"
)
"""The same of one device: of a row `l` with its lease, device, first and last hour."""
HOURS_OF_LEASES = _hours("WHERE x.lease_id = ANY(%(leases)s::bigint[]) AND x.hour >= %(since)s AND x.hour < %(until)s")
"""The same of whole leases, with values `leases`, `since` and `until`."""
