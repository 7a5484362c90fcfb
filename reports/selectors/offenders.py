"""Devices with a history: what comes back again and again is worth more attention than what is ill once."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from cluster.models import Device, DeviceEvent, Handover, Inspection
from cluster.services.policies import rules
from reports.selectors.fleet import GONE_STATES

DAYS = 30
TIMES = 3
SERIOUS = ("drain", "fail")


@dataclass(frozen=True)
class Offender:
    """A device and its troubles of the last thirty days."""

    device: Device
    xids: int
    quarantines: int
    failed_checks: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.xids + self.quarantines + self.failed_checks


def repeat_offenders(now: datetime) -> list[Offender]:
    """Devices with three troubles or more in thirty days, worst first, whatever they say of themselves now.

    A trouble is an XID whose rule drains or fails the device, a quarantine, or a failed check. Five queries.
    """
    since = now - timedelta(days=DAYS)
    serious = [rule.xid for rule in rules() if rule.level in SERIOUS]
    events = DeviceEvent.objects.filter(at__gt=since, device__isnull=False).order_by().values_list("device")
    xids = dict(events.filter(kind="xid", detail__xid__in=serious).annotate(times=Count("pk")))
    out = dict(events.filter(kind="quarantined").annotate(times=Count("pk")))
    failed: Counter[int] = Counter()
    for counts in (
        Inspection.objects.filter(passed=False, at__gt=since).order_by(),
        Handover.objects.filter(passed=False, taken_at__gt=since).order_by(),
    ):
        failed.update(dict(counts.values_list("device").annotate(times=Count("pk"))))
    devices = Device.objects.filter(pk__in={*xids, *out, *failed}).exclude(state__in=GONE_STATES).select_related("node")
    found = [Offender(each, xids.get(each.pk, 0), out.get(each.pk, 0), failed[each.pk]) for each in devices]
    return sorted((each for each in found if each.total >= TIMES), key=lambda each: -each.total)
