"""What is known of cases that are open: what was used since the notice, what is measured now. Reads only."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection

from allocations.models import Lease
from telemetry.selectors import measured_use_of
from usage.lifecycle import CASE_OPEN
from usage.models import CaseDevice, IdleCase

MEASURED_LATELY = timedelta(hours=1)
_USED = """
SELECT d.id, coalesce(sum(h.used_seconds), 0)
FROM usage_casedevice d
JOIN usage_idlecase c ON c.id = d.case_id
JOIN allocations_usagehour h ON h.lease_id = c.lease_id AND h.device_id = d.device_id AND h.hour >= c.noticed_at
WHERE d.id = ANY(%(ids)s)
GROUP BY d.id
"""


def used_since_notice(devices: Iterable[CaseDevice], now: datetime) -> dict[int, int]:
    """Seconds of use of each device of a case since its notice, by the row's key: two queries for all of them.

    The larger of what the minutes and what the decided hours say: whoever gives a word for the partner is believed.
    """
    rows = list(devices)
    if not rows:
        return {}
    spans = [(row.pk, row.device_id, row.case.noticed_at or now) for row in rows]
    live = {key: use.used_seconds for key, use in measured_use_of(spans, now).items()}
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"ids": [row.pk for row in rows]})
        decided = {key: int(seconds) for key, seconds in cursor.fetchall()}
    return {row.pk: max(live.get(row.pk, 0), decided.get(row.pk, 0)) for row in rows}


def is_measured(devices: Iterable[CaseDevice], now: datetime) -> bool:
    """Whether nine tenths of the last hour of every one of these devices were measured: a gap may hide use."""
    rows = list(devices)
    since = now - MEASURED_LATELY
    use = measured_use_of([(row.pk, row.device_id, since) for row in rows], now)
    least = MEASURED_LATELY.total_seconds() * 0.9
    return all(row.pk in use and use[row.pk].used_seconds + use[row.pk].idle_seconds >= least for row in rows)


def open_case(lease: Lease) -> IdleCase | None:
    """The case about a reservation that is not over: one query."""
    return IdleCase.objects.filter(lease=lease, state__in=CASE_OPEN).select_related("rule").first()
