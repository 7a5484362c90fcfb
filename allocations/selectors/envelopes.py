"""What is promised of a pool, and whether it can be kept. Reads only."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import DurationField, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least

from allocations.lifecycle import OPEN
from allocations.models import Allocation, Envelope, Pin
from allocations.timeline import Busy, peak
from cluster.models import Device, Pool
from cluster.selectors import GONE, LENDABLE


@dataclass(frozen=True)
class Commitment:
    """A pool in a window: its devices, ill ones included, the most GPUs at once that all its awards promise at one
    moment, and the most that they may promise.
    """

    devices: int
    promised: int
    ceiling: int

    @property
    def over(self) -> int:
        """GPUs promised that are not there."""
        return max(0, self.promised - self.devices)


def ceiling_of(pool: Pool, devices: int) -> int:
    """The most GPUs at once that all awards on a pool together may promise."""
    return devices * (100 + pool.overcommit_percent) // 100


def commitment(pool: Pool, start: datetime, end: datetime, waiting: Iterable[Busy] = ()) -> Commitment:
    """What awards promise of a pool in [start, end): two queries. `waiting`: awards that wait for an answer."""
    rows = Allocation.objects.filter(pool=pool, state__in=OPEN, valid_from__lt=end, valid_until__gt=start).values_list(
        "valid_from", "valid_until", "concurrent_gpus"
    )
    promised = peak([*(Busy(*row) for row in rows), *waiting], start, end)
    devices = Device.objects.filter(node__pool=pool, parent=None).exclude(state="retired").count()
    return Commitment(devices=devices, promised=promised, ceiling=ceiling_of(pool, devices))


def _in_trouble() -> Q:
    """Of pins: the device is out of service, or on a node that is. A node that was silent for a moment is none."""
    device = Q(device__state__in=GONE) | ~Q(device__health__in=LENDABLE) | Q(device__set_aside=True)
    return device | Q(device__node__state__in=("draining", "maintenance", "unreachable", "fenced", "retired"))


def pins_in_trouble(now: datetime) -> list[Pin]:
    """Pins, not over, whose device is out of service or on a node that is: one query, fifty at most."""
    rows = Pin.objects.filter(_in_trouble(), until__gt=now, envelope__let_go_at=None).select_related("envelope")
    return list(rows.order_by("envelope_id", "device_id")[:50])


@dataclass(frozen=True)
class Shortfall:
    """A stretch in which a promise could not be kept: `gpus` of its GPUs are missing at the worst moment of it.

    As things stand: what is out of service now counts as that until the promise is over.
    """

    envelope: Envelope
    gpus: int
    since: datetime
    until: datetime

    @property
    def kept(self) -> int:
        """GPUs that can be had all the same, at every moment of the stretch."""
        return self.envelope.gpus - self.gpus


def shortfalls(promises: QuerySet[Envelope], start: datetime, end: datetime) -> list[Shortfall]:
    """Where these promises fall short in [start, end), by promise and time: two queries, whatever is promised.

    The first looks, in the database, for how long devices keep each, and which have one that is in trouble: only those
    for which that is less than it should be are looked at device by device.
    """
    since, until = Greatest("starts_at", Value(start)), Least("ends_at", Value(end))
    pins = Pin.objects.filter(envelope=OuterRef("pk"), since__lt=OuterRef("until"), until__gt=OuterRef("since"))
    length = Least("until", OuterRef("until")) - Greatest("since", OuterRef("since"))
    kept = pins.order_by().values("envelope").annotate(sum=Sum(length)).values("sum")
    asked = ExpressionWrapper((F("until") - F("since")) * F("gpus"), output_field=DurationField())
    rows = promises.filter(let_go_at=None, starts_at__lt=end, ends_at__gt=start).annotate(since=since, until=until)
    ill = Pin.objects.filter(_in_trouble(), since__lt=end, until__gt=start).values("envelope")
    short = rows.annotate(kept=Coalesce(Subquery(kept), Value(timedelta()))).filter(Q(kept__lt=asked) | Q(pk__in=ill))
    found = list(short.select_related("organisation", "pool", "allocation__project").order_by("starts_at", "pk"))
    if not found:
        return []
    by_promise: dict[int, list[Busy]] = defaultdict(list)
    fine = Pin.objects.filter(~_in_trouble(), envelope__in=found, since__lt=end, until__gt=start)
    for envelope_id, opens, closes in fine.values_list("envelope_id", "since", "until"):
        by_promise[envelope_id].append(Busy(opens, closes))
    return [row for envelope in found for row in _stretches(envelope, by_promise[envelope.pk], start, end)]


def shortfalls_of(allocation: Allocation, now: datetime) -> list[Shortfall]:
    """From now on until the award is over; no query where nothing is guaranteed."""
    if not allocation.guaranteed_gpus or allocation.valid_until <= now:
        return []
    return shortfalls(Envelope.objects.filter(allocation=allocation), now, allocation.valid_until)


def _stretches(envelope: Envelope, kept: list[Busy], start: datetime, end: datetime) -> list[Shortfall]:
    """Moments that follow each other and in which anything is missing are one stretch."""
    start, end = max(start, envelope.starts_at), min(end, envelope.ends_at)
    edges = sorted({start, end, *(at for busy in kept for at in (busy.start, busy.end) if start < at < end)})
    found: list[Shortfall] = []
    for since, until in itertools.pairwise(edges):
        missing = envelope.gpus - peak(kept, since, until)
        if missing <= 0:
            continue
        if found and found[-1].until == since:
            last = found.pop()
            found.append(replace(last, gpus=max(last.gpus, missing), until=until))
        else:
            found.append(Shortfall(envelope, missing, since, until))
    return found
