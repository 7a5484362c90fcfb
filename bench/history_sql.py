"""The statements of bench.history. What a device did in an hour follows from its key and the hour: busy, idle or
silent, so that minutes, hours and the use of hours agree; days and the hours of pools have figures of their own.
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
        FROM generate_series(%(shown_minutes_since)s::timestamptz, %(now)s::timestamptz, interval '1 minute') AS minute
        JOIN {_DEVICES} d ON d.place <= %(shown)s OR minute >= %(minutes_since)s::timestamptz
             OR minute >= %(looked_minute)s::timestamptz AND minute < %(looked_minute)s::timestamptz + interval '1 hour'
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
        JOIN {_DEVICES} d ON d.place <= %(shown)s OR hour >= %(hours_since)s::timestamptz
             OR hour >= %(looked_hour)s::timestamptz AND hour < %(looked_hour)s::timestamptz + interval '1 day'
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
        JOIN {_DEVICES} d ON d.place <= %(shown)s
    ) AS kinds
) AS figures
"""

LATEST = f"""
INSERT INTO telemetry_latestsample (device_id, at, newest_at, energy_mj, memory_used_mib, power_watts,
    utilisation_percent, temperature_c, process_count, sm_active_permille, tensor_active_permille, processes)
SELECT id, at, at, (extract(epoch FROM at)::bigint - 1600000000) * 400000, memory, power, utilisation, temperature,
       processes, sm * 10, tensor * 10, '[]'
FROM (
    SELECT id, at, k, {_FIGURES}
    FROM (
        SELECT d.id, at, {_KIND.format(hour="date_trunc('hour', at)")} AS k, extract(minute FROM at)::int AS n
        FROM {_DEVICES} d CROSS JOIN (VALUES (%(now)s::timestamptz)) AS moment (at)
    ) AS kinds
) AS figures
"""

_SECONDS = (
    "held_seconds, used_seconds, idle_seconds, parked_seconds, hung_seconds, no_data_seconds, fault_seconds,"
    " maintenance_seconds"
)

USAGE_HOURS = f"""
INSERT INTO allocations_usagehour (lease_id, device_id, hour, codes, {_SECONDS}, samples, energy_j, rule_version,
    decided_at)
SELECT lease_id, device_id, hour, repeat(CASE WHEN k < 3 THEN 'N' WHEN k < 30 THEN 'I' ELSE 'U' END, 60), 3600,
       CASE WHEN k >= 30 THEN 3600 ELSE 0 END, CASE WHEN k >= 3 AND k < 30 THEN 3600 ELSE 0 END, 0, 0,
       CASE WHEN k < 3 THEN 3600 ELSE 0 END, 0, 0, CASE WHEN k < 3 THEN 0 ELSE 360 END,
       CASE WHEN k < 3 THEN 0 WHEN k < 30 THEN 270000 ELSE 2000000 END, 1, hour + interval '2 hours'
FROM (
    SELECT p.lease_id, p.device_id, hour, {_KIND.format(hour="hour")} AS k
    FROM {_DEVICES} d
    JOIN allocations_placement p ON p.device_id = d.id AND p.lease_id IS NOT NULL
    JOIN generate_series(%(usage_since)s::timestamptz, %(hour)s::timestamptz - interval '1 hour', interval '1 hour')
      AS hour ON hour >= lower(p.window) AND hour < upper(p.window)
      AND (d.place <= %(shown)s OR hour >= %(all_usage_since)s::timestamptz)
) AS kinds
"""

USAGE_DAYS = f"""
INSERT INTO allocations_usageday (lease_id, day, {_SECONDS}, samples, energy_j)
SELECT lease_id, day, sum(held), sum(held) - sum(held / 4) - sum(held / 33), sum(held / 4), 0, 0, sum(held / 33), 0, 0,
       sum(held / 10), sum(held) * (300 + lease_id %% 100)
FROM (
    SELECT p.lease_id, begins::date AS day, extract(epoch FROM least(upper(p.window), begins + interval '1 day',
           %(hour)s::timestamptz) - greatest(lower(p.window), begins))::int AS held
    FROM allocations_placement p
    CROSS JOIN LATERAL generate_series(date_trunc('day', lower(p.window) AT TIME ZONE 'Asia/Seoul')
        AT TIME ZONE 'Asia/Seoul', least(upper(p.window), %(hour)s::timestamptz), interval '1 day') AS at
    CROSS JOIN LATERAL (SELECT at AS begins) b
    WHERE p.lease_id IS NOT NULL
) AS held WHERE held.held > 0 GROUP BY 1, 2
"""

USAGE_TOTALS = f"""
INSERT INTO allocations_usagetotal (lease_id, {_SECONDS}, samples, energy_j)
SELECT lease_id, {", ".join(f"sum({name.strip()})" for name in _SECONDS.split(","))}, sum(samples), sum(energy_j)
FROM allocations_usageday GROUP BY lease_id
"""

DAYS = f"""
INSERT INTO telemetry_deviceday (device_id, day, {_MEANS}, energy_j, samples, utilisation_max, temperature_max,
    minutes, busy_minutes)
SELECT id, day, utilisation, sm, tensor, memory, power, temperature, processes, 86400 * power, 8640,
       least(100, utilisation + 10), temperature + 3, 1440, CASE WHEN k >= 30 THEN 1000 ELSE 0 END
FROM (
    SELECT id, day::date AS day, k, {_FIGURES}
    FROM (
        SELECT d.id, day, {_KIND.format(hour="day")} AS k, 0 AS n
        FROM generate_series(%(since)s::timestamptz, %(now)s::timestamptz, interval '1 day') AS day
        CROSS JOIN {_DEVICES} d
    ) AS kinds
) AS figures
"""

POOL_HOURS = """
INSERT INTO telemetry_poolhour (pool_id, hour, used_seconds, idle_seconds)
SELECT pool_id, hour, devices * (2300 + extract(hour FROM hour)::int), devices * 900
FROM (SELECT n.pool_id, count(*) AS devices FROM cluster_device d JOIN cluster_node n ON n.id = d.node_id GROUP BY 1) p
CROSS JOIN generate_series(%(since)s::timestamptz, %(hour)s::timestamptz - interval '1 hour', interval '1 hour') AS hour
"""

POOL_MINUTES = """
INSERT INTO telemetry_poolminute (pool_id, minute, utilisation_percent, devices)
SELECT pool_id, minute, 40 + extract(hour FROM minute)::int, devices
FROM (SELECT n.pool_id, count(*) AS devices FROM cluster_device d JOIN cluster_node n ON n.id = d.node_id GROUP BY 1) p
CROSS JOIN generate_series(%(since)s::timestamptz, %(now)s::timestamptz, interval '1 minute') AS minute
"""

_NODES = """
INSERT INTO telemetry_node{step} (node_id, {step}, {samples} cpu_percent, load, memory_used_mib, memory_total_mib,
    disk_read_bytes, disk_written_bytes, network_received_bytes, network_sent_bytes)
SELECT n.id, at, {sample} 40 + (n.id + extract(epoch FROM at)::bigint / 60) %% 50, 12, 200000, 1000000,
       100000000, 50000000, 400000000, 300000000
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM cluster_node) n
JOIN generate_series(%({begin})s::timestamptz, %(now)s::timestamptz - interval '1 {step}', interval '1 {step}') AS at
  ON at >= %({step}s_since)s::timestamptz OR n.place <= %(shown_nodes)s
"""
NODE_MINUTES = _NODES.format(step="minute", begin="shown_minutes_since", samples="", sample="")
NODE_HOURS = _NODES.format(step="hour", begin="since", samples="samples,", sample="60,")

STATEMENTS = (
    ("minutes", MINUTES),
    ("hours", HOURS),
    ("days", DAYS),
    ("pool hours", POOL_HOURS),
    ("pool minutes", POOL_MINUTES),
    ("samples", SAMPLES),
    ("latest", LATEST),
    ("usage hours", USAGE_HOURS),
    ("usage days", USAGE_DAYS),
    ("usage totals", USAGE_TOTALS),
    ("node minutes", NODE_MINUTES),
    ("node hours", NODE_HOURS),
)
