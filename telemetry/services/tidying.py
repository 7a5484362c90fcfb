"""What is past its time goes: partitions whole, the little that lies beside them row by row."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from telemetry import partitions
from telemetry.models import LateHour, PoolMinute, SampleFeed

FEED_RANGES = 64
BOOTS_KEPT = 100
_BOOTS = """
DELETE FROM telemetry_samplefeed WHERE id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY node_id ORDER BY last_at DESC, id DESC) AS place
                    FROM telemetry_samplefeed) AS feeds WHERE place > %s)
"""
"""A node that says it has booted with every delivery fills no table; repeats are found by their rows then."""
_FILL = """
UPDATE telemetry_samplefeed f SET seen = f.seen + int8multirange(int8range(lower(f.seen), g.until))
FROM (
    SELECT id, (SELECT lower(r) FROM unnest(seen) WITH ORDINALITY AS u (r, n) ORDER BY n DESC OFFSET %(most)s LIMIT 1)
    AS until FROM telemetry_samplefeed WHERE last_at > %(since)s
) g WHERE g.id = f.id AND g.until IS NOT NULL
"""
"""Of what a node left out only the newest gaps are waited for: an agent sends the oldest first, so the rest is lost."""


def tidy(now: datetime) -> int:
    """Drop expired partitions, and delete notes and feeds that nobody asks for any more; partitions and rows gone."""
    gone = partitions.drop_expired(now)
    before = now - timedelta(days=settings.TELEMETRY_KEEP_SAMPLES_DAYS)
    gone += SampleFeed.objects.filter(last_at__lt=before).delete()[0]
    kept = now - timedelta(days=settings.TELEMETRY_KEEP_MINUTES_DAYS)
    gone += PoolMinute.objects.filter(minute__lt=kept).delete()[0]
    gone += LateHour.objects.filter(rolled_at__lt=before).delete()[0]
    with connection.cursor() as cursor:
        cursor.execute(_BOOTS, [BOOTS_KEPT])
        gone += cursor.rowcount
        cursor.execute(_FILL, {"most": FEED_RANGES, "since": now - timedelta(days=1)})
    return gone
