"""The statements of bench.history. What a device did in an hour follows from its key and the hour: busy, idle or
silent, so that minutes, hours, days and use agree.
"""

_KIND = "abs(hashint8extended(d.id * 1000003 + extract(epoch FROM {hour})::bigint, 0)) %% 100"
"""0 to 2: nothing was measured; 3 to 29: idle; else busy."""
_FIGURES = """
    CASE WHEN k >= 30 THEN 50 + (k + n) %% 50 ELSE 0 END AS utilisation,
    CASE WHEN k >= 30 THEN 20 + (k + n) %% 60 ELSE 0 END AS sm,
    CASE WHEN k >= 30 THEN (k + n) %% 50 ELSE 0 END AS tensor,
    CASE WHEN k >= 20 THEN 60000 + n %% 1000 ELSE 500 END AS memory,
    CASE WHEN k >= 30 THEN 500 + (k + n) %% 150 ELSE 75 END AS power,
    CASE WHEN k >= 30 THEN 60 + n %% 10 ELSE 32 END AS temperature,
    CASE WHEN k >= 20 THEN 1 ELSE 0 END AS processes
"""
_MEANS = (
    "utilisation_percent, sm_active_percent, tensor_active_percent, memory_used_mib, power_watts, temperature_c,"
    " process_count"
)
_DEVICES = "(SELECT id, row_number() OVER (ORDER BY id) AS place FROM cluster_device WHERE parent_id IS NULL)"

MINUTES = f"""
INSERT INTO telemetry_deviceminute (device_id, minute, samples, {_MEANS}, energy_mj, energy_j)
SELECT id, minute, 6, utilisation, sm, tensor, memory, power, temperature, processes,
       (extract(epoch FROM minute)::bigint - 1600000000) * 400000, 60 * power
FROM (
    SELECT id, minute, k, {_FIGURES}
    FROM (
        SELECT d.id, minute, {_KIND.format(hour="date_trunc('hour', minute)")} AS k,
               extract(minute FROM minute)::int AS n
        FROM generate_series(%(since)s::timestamptz, %(now)s::timestamptz, interval '1 minute') AS minute
        JOIN {_DEVICES} d ON minute >= %(recent)s::timestamptz OR d.place <= %(shown)s
    ) AS kinds WHERE k >= 3
) AS figures
"""

HOURS = f"""
INSERT INTO telemetry_devicehour (device_id, hour, {_MEANS}, energy_j, samples, utilisation_max, temperature_max,
    minutes, busy_minutes)
SELECT id, hour, utilisation, sm, tensor, memory, power, temperature, processes, 3600 * power, 360,
       least(100, utilisation + 10), temperature + 3, 60, CASE WHEN k >= 30 THEN 60 ELSE 0 END
FROM (
    SELECT id, hour, k, {_FIGURES}
    FROM (
        SELECT d.id, hour, {_KIND.format(hour="hour")} AS k, 0 AS n
        FROM generate_series(%(since)s::timestamptz, %(hour)s::timestamptz - interval '1 hour', interval '1 hour')
             AS hour
        CROSS JOIN {_DEVICES} d
    ) AS kinds WHERE k >= 3
) AS figures
"""

SAMPLES = f"""
INSERT INTO telemetry_sample (device_id, at, energy_mj, memory_used_mib, power_watts, utilisation_percent,
    temperature_c, process_count, sm_active_permille, tensor_active_permille)
SELECT id, at, (extract(epoch FROM at)::bigint - 1600000000) * 400000, memory, power, utilisation, temperature,
       processes, sm * 10, tensor * 10
FROM (
    SELECT id, at, k, {_FIGURES}
    FROM (
        SELECT d.id, at, {_KIND.format(hour="date_trunc('hour', at)")} AS k, extract(minute FROM at)::int AS n
        FROM generate_series(%(samples_since)s::timestamptz, %(now)s::timestamptz, interval '10 seconds') AS at
        CROSS JOIN {_DEVICES} d
    ) AS kinds
) AS figures
"""

LATEST = """
INSERT INTO telemetry_latestsample (device_id, at, newest_at, energy_mj, memory_used_mib, power_watts,
    utilisation_percent, temperature_c, process_count, sm_active_permille, tensor_active_permille, processes)
SELECT device_id, at, at, energy_mj, memory_used_mib, power_watts, utilisation_percent, temperature_c, process_count,
       sm_active_permille, tensor_active_permille, '[]'
FROM telemetry_sample WHERE at = %(now)s
"""

_HELD = """
FROM allocations_placement p
JOIN allocations_lease l ON l.id = p.lease_id
JOIN generate_series({since}, %(hour)s::timestamptz - interval '1 hour', interval '1 hour') AS hour
  ON hour >= lower(p.window) AND hour < upper(p.window)
LEFT JOIN telemetry_devicehour h ON h.device_id = p.device_id AND h.hour = hour.hour
"""
_SECONDS = (
    "held_seconds, used_seconds, idle_seconds, parked_seconds, hung_seconds, no_data_seconds, fault_seconds,"
    " maintenance_seconds"
)

USAGE_HOURS = f"""
INSERT INTO allocations_usagehour (lease_id, device_id, hour, codes, {_SECONDS}, samples, energy_j, rule_version,
    decided_at)
SELECT p.lease_id, p.device_id, hour.hour,
       repeat(CASE WHEN h.busy_minutes = 60 THEN 'U' WHEN h.busy_minutes = 0 THEN 'I' ELSE 'N' END, 60), 3600,
       CASE WHEN h.busy_minutes = 60 THEN 3600 ELSE 0 END, CASE WHEN h.busy_minutes = 0 THEN 3600 ELSE 0 END, 0, 0,
       CASE WHEN h.busy_minutes IS NULL THEN 3600 ELSE 0 END, 0, 0, coalesce(h.samples, 0), coalesce(h.energy_j, 0), 1,
       hour.hour + interval '2 hours'
{_HELD.format(since="%(usage_since)s::timestamptz")}
"""

USAGE_DAYS = f"""
INSERT INTO allocations_usageday (lease_id, day, {_SECONDS}, samples, energy_j)
SELECT p.lease_id, (hour.hour AT TIME ZONE 'Asia/Seoul')::date, 3600 * count(*),
       3600 * count(*) FILTER (WHERE h.busy_minutes = 60), 3600 * count(*) FILTER (WHERE h.busy_minutes = 0), 0, 0,
       3600 * count(*) FILTER (WHERE h.busy_minutes IS NULL), 0, 0, coalesce(sum(h.samples), 0),
       coalesce(sum(h.energy_j), 0)
{_HELD.format(since="%(since)s::timestamptz")}
GROUP BY 1, 2
"""

DAYS = """
INSERT INTO telemetry_deviceday (device_id, day, utilisation_percent, sm_active_percent, tensor_active_percent,
    memory_used_mib, power_watts, temperature_c, process_count, energy_j, samples, utilisation_max, temperature_max,
    minutes, busy_minutes)
SELECT device_id, (hour AT TIME ZONE 'Asia/Seoul')::date, avg(utilisation_percent), avg(sm_active_percent),
       avg(tensor_active_percent), avg(memory_used_mib), avg(power_watts), avg(temperature_c), avg(process_count),
       sum(energy_j), sum(samples), max(utilisation_max), max(temperature_max), sum(minutes), sum(busy_minutes)
FROM telemetry_devicehour GROUP BY 1, 2
"""

POOL_HOURS = """
INSERT INTO telemetry_poolhour (pool_id, hour, used_seconds, idle_seconds)
SELECT n.pool_id, h.hour, 60 * sum(h.busy_minutes), 60 * sum(h.minutes - h.busy_minutes)
FROM telemetry_devicehour h JOIN cluster_device d ON d.id = h.device_id JOIN cluster_node n ON n.id = d.node_id
GROUP BY 1, 2
"""

STATEMENTS = (
    ("minutes", MINUTES),
    ("hours", HOURS),
    ("vacuum", "ANALYZE telemetry_devicehour"),
    ("days", DAYS),
    ("pool hours", POOL_HOURS),
    ("samples", SAMPLES),
    ("latest", LATEST),
    ("usage hours", USAGE_HOURS),
    ("usage days", USAGE_DAYS),
)
