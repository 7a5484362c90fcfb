"""What is known of cases that are open: what was used since the notice, what is measured now. Reads only."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from allocations.models import Lease
from allocations.selectors.usage import UsageSums, use_since
from usage.lifecycle import CASE_OPEN
from usage.models import CaseDevice, IdleCase

MEASURED_LATELY = timedelta(hours=1)


def used_since_notice(devices: Iterable[CaseDevice], now: datetime) -> dict[int, int]:
    """Seconds of use of each device of a case since its notice, by the row's key: two queries for all of them.

    A program that hangs uses its GPU, unless the case's rule says that this counts as idle.
    """
    rows = list(devices)
    use = use_since([(row.pk, row.case.lease_id, row.device_id, row.case.noticed_at or now) for row in rows], now)
    found = {}
    for row in rows:
        sums, rule = use.get(row.pk, UsageSums()), row.case.rule
        hung = 0 if rule is not None and rule.counts_hung else sums.hung_seconds
        found[row.pk] = sums.used_seconds + hung
    return found


def is_measured(devices: Iterable[CaseDevice], now: datetime) -> bool:
    """Whether nine tenths of the last hour of every one of these devices were measured: a gap may hide use."""
    rows = list(devices)
    since = now - MEASURED_LATELY
    use = use_since([(row.pk, row.case.lease_id, row.device_id, since) for row in rows], now)
    least = MEASURED_LATELY.total_seconds() * 0.9
    return all(use.get(row.pk, UsageSums()).measured_seconds >= least for row in rows)


def open_case(lease: Lease) -> IdleCase | None:
    """The case about a reservation that is not over: one query."""
    return IdleCase.objects.filter(lease=lease, state__in=CASE_OPEN).select_related("rule").first()
