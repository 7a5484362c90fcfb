"""What each kind of GPU draws while nobody has it: the line under which power says idle."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

LEAST_MINUTES = 60
"""Device-minutes that a figure rests on, at the least; with fewer the last one stands."""
AT_MOST_DEVICES = 50
"""Of each kind: as many as a percentile needs."""
WINDOW = timedelta(days=1)
_LEARN = """
WITH free AS (
    SELECT d.id, d.gpu_class_id,
           row_number() OVER (PARTITION BY d.gpu_class_id ORDER BY md5(d.id::text || %(until)s::text)) AS place
    FROM cluster_device d
    WHERE d.parent_id IS NULL AND d.state = 'available' AND d.health = 'ok'
),
quiet AS (
    SELECT f.gpu_class_id, m.power_watts
    FROM free f
    CROSS JOIN LATERAL (
        SELECT d.minute, d.power_watts FROM telemetry_deviceminute d
        WHERE d.device_id = f.id AND d.minute >= %(since)s::timestamptz AND d.minute < %(until)s::timestamptz
          AND d.power_watts IS NOT NULL AND coalesce(d.utilisation_percent, 0) <= 2 AND coalesce(d.process_count, 0) = 0
        OFFSET 0
    ) AS m
    WHERE f.place <= %(most)s AND NOT EXISTS (
        SELECT 1 FROM allocations_placement p
        WHERE p.board_id = f.id AND p.lease_id IS NOT NULL AND p.window @> m.minute
    )
)
INSERT INTO telemetry_idlepower AS i (gpu_class_id, watts, samples, learned_at)
SELECT gpu_class_id, percentile_cont(0.95) WITHIN GROUP (ORDER BY power_watts), count(*), %(until)s::timestamptz
FROM quiet GROUP BY 1 HAVING count(*) >= %(least)s
ON CONFLICT (gpu_class_id) DO UPDATE
SET watts = EXCLUDED.watts, samples = EXCLUDED.samples, learned_at = EXCLUDED.learned_at
"""


def learn_idle_power(now: datetime) -> int:
    """The 95th percentile of a day's minutes in which devices were available and in nobody's window, by kind; the kinds
    that were learned.
    """
    values: dict[str, Any] = {"since": now - WINDOW, "until": now, "most": AT_MOST_DEVICES, "least": LEAST_MINUTES}
    with connection.cursor() as cursor:
        cursor.execute(_LEARN, values)
        learned: int = cursor.rowcount
    return learned
