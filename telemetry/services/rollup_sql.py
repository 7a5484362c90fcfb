"""The statements of the rollups. Each writes what is new or has changed, in the order of its key: two that meet wait
for each other and never for good.
"""

MOST_WATTS = 5000
"""No device draws more: what a counter gained beyond that is a counter that was set or read wrongly."""
_MEANS = (
    "utilisation_percent",
    "sm_active_percent",
    "tensor_active_percent",
    "memory_used_mib",
    "power_watts",
    "temperature_c",
    "process_count",
)
_TOTALS = (*_MEANS, "energy_j", "samples", "utilisation_max", "temperature_max", "minutes", "busy_minutes")
_OF_DEVICES = "(%(devices)s::bigint[] IS NULL OR device_id = ANY(%(devices)s::bigint[]))"


def _set(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names)


def _changed(alias: str, names: tuple[str, ...]) -> str:
    old, new = (", ".join(f"{source}.{name}" for name in names) for source in (alias, "EXCLUDED"))
    return f"({old}) IS DISTINCT FROM ({new})"


MINUTES = f"""
WITH rolled AS (
    SELECT device_id, date_trunc('minute', at) AS minute, least(count(*), 32767) AS samples,
           avg(utilisation_percent) AS utilisation_percent, avg(sm_active_permille) / 10 AS sm_active_percent,
           avg(tensor_active_permille) / 10 AS tensor_active_percent, avg(memory_used_mib) AS memory_used_mib,
           avg(power_watts) AS power_watts, avg(temperature_c) AS temperature_c, avg(process_count) AS process_count,
           max(energy_mj) AS energy_mj, min(energy_mj) AS least_mj
    FROM telemetry_sample
    WHERE at >= %(since)s::timestamptz AND at < %(until)s::timestamptz AND {_OF_DEVICES}
    GROUP BY 1, 2
), counters AS (
    SELECT device_id, minute, energy_mj, least_mj FROM rolled WHERE energy_mj IS NOT NULL
    UNION ALL
    SELECT device_id, minute, energy_mj, NULL FROM telemetry_deviceminute
    WHERE minute >= %(since)s::timestamptz - interval '5 minutes' AND minute < %(since)s::timestamptz
      AND energy_mj IS NOT NULL AND {_OF_DEVICES}
), chained AS (
    SELECT *, lag(energy_mj) OVER turn AS before_mj, lag(minute) OVER turn AS before
    FROM counters WINDOW turn AS (PARTITION BY device_id ORDER BY minute)
), known AS (
    SELECT c.device_id, c.minute, c.energy_mj / 1000 AS counter, c.least_mj / 1000 AS least,
           coalesce(c.before_mj, p.energy_mj) / 1000 AS before_j, coalesce(c.before, p.minute) AS before
    FROM chained c LEFT JOIN LATERAL (
        SELECT m.energy_mj, m.minute FROM telemetry_deviceminute m
        WHERE c.before IS NULL AND m.device_id = c.device_id AND m.energy_mj IS NOT NULL
          AND m.minute < c.minute AND m.minute >= c.minute - interval '7 days'
        ORDER BY m.minute DESC LIMIT 1
    ) p ON true
    WHERE c.minute >= %(since)s::timestamptz
), gained AS (
    SELECT device_id, minute, counter - least AS inside,
           counter - CASE WHEN counter >= before_j THEN before_j ELSE 0 END AS gained,
           {MOST_WATTS} * (extract(epoch FROM minute - before) + 60) AS most
    FROM known
)
INSERT INTO telemetry_deviceminute AS m (device_id, minute, samples, {", ".join(_MEANS)}, energy_mj, energy_j)
SELECT r.device_id, r.minute, r.samples, {", ".join(f"r.{name}" for name in _MEANS)}, r.energy_mj,
       CASE WHEN g.gained <= g.most AND g.gained < 2147483648 THEN g.gained
            WHEN g.inside <= 60 * {MOST_WATTS} THEN g.inside END
FROM rolled r LEFT JOIN gained g USING (device_id, minute)
ORDER BY r.device_id, r.minute
ON CONFLICT (device_id, minute) DO UPDATE SET {_set(("samples", *_MEANS, "energy_mj", "energy_j"))}
WHERE {_changed("m", ("samples", "energy_mj", "energy_j"))}
"""  # noqa: S608 (constants only). A counter that went back was set to zero: what it shows since then was gained.

HOURS = f"""
INSERT INTO telemetry_devicehour AS h (device_id, hour, {", ".join(_TOTALS)})
SELECT device_id, date_trunc('hour', minute), {", ".join(f"avg({name})" for name in _MEANS)}, sum(energy_j),
       sum(samples), max(utilisation_percent), max(temperature_c), count(utilisation_percent),
       count(*) FILTER (WHERE utilisation_percent > %(above)s)
FROM telemetry_deviceminute
WHERE minute >= %(since)s::timestamptz AND minute < %(until)s::timestamptz AND {_OF_DEVICES}
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (device_id, hour) DO UPDATE SET {_set(_TOTALS)}
WHERE {_changed("h", ("samples", "minutes", "busy_minutes", "energy_j"))}
"""  # noqa: S608 (constants only)

DAYS = f"""
WITH span AS (
    SELECT date_trunc('day', %(since)s::timestamptz AT TIME ZONE %(zone)s) AT TIME ZONE %(zone)s AS since,
           (date_trunc('day', %(until)s::timestamptz AT TIME ZONE %(zone)s) + interval '1 day') AT TIME ZONE %(zone)s
           AS until
)
INSERT INTO telemetry_deviceday AS d (device_id, day, {", ".join(_TOTALS)})
SELECT device_id, (hour AT TIME ZONE %(zone)s)::date,
       {", ".join(f"sum({n} * minutes) / nullif(sum(minutes) FILTER (WHERE {n} IS NOT NULL), 0)" for n in _MEANS)},
       sum(energy_j), sum(samples), max(utilisation_max), max(temperature_max), sum(minutes), sum(busy_minutes)
FROM telemetry_devicehour
WHERE hour >= (SELECT since FROM span) AND hour < (SELECT until FROM span) AND {_OF_DEVICES}
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (device_id, day) DO UPDATE SET {_set(_TOTALS)}
WHERE {_changed("d", ("samples", "minutes", "busy_minutes", "energy_j"))}
"""  # noqa: S608 (constants only)

POOL_HOURS = """
INSERT INTO telemetry_poolhour AS h (pool_id, hour, used_seconds, idle_seconds)
SELECT n.pool_id, t.hour, 60 * sum(t.busy_minutes), 60 * sum(t.minutes - t.busy_minutes)
FROM telemetry_devicehour t
JOIN cluster_device d ON d.id = t.device_id
JOIN cluster_node n ON n.id = d.node_id
WHERE t.hour >= %(since)s::timestamptz AND t.hour < %(until)s::timestamptz AND t.minutes > 0
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (pool_id, hour) DO UPDATE SET used_seconds = EXCLUDED.used_seconds, idle_seconds = EXCLUDED.idle_seconds
WHERE (h.used_seconds, h.idle_seconds) <> (EXCLUDED.used_seconds, EXCLUDED.idle_seconds)
"""

POOL_MINUTES = """
INSERT INTO telemetry_poolminute AS m (pool_id, minute, utilisation_percent, devices)
SELECT n.pool_id, t.minute, avg(t.utilisation_percent), count(t.utilisation_percent)
FROM telemetry_deviceminute t
JOIN cluster_device d ON d.id = t.device_id
JOIN cluster_node n ON n.id = d.node_id
WHERE t.minute >= %(since)s::timestamptz AND t.minute < %(until)s::timestamptz AND t.utilisation_percent IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (pool_id, minute) DO UPDATE
SET utilisation_percent = EXCLUDED.utilisation_percent, devices = EXCLUDED.devices
WHERE (m.utilisation_percent, m.devices) <> (EXCLUDED.utilisation_percent, EXCLUDED.devices)
"""
