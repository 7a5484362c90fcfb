"""What is promised of a pool, and whether it can be kept. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from allocations.lifecycle import OPEN
from allocations.models import Allocation, Envelope, Pin
from allocations.timeline import Busy, peak
from cluster.models import Device, Pool
from cluster.selectors import GONE, LENDABLE, bookable_devices


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


def pins_in_trouble(now: datetime) -> list[Pin]:
    """Pins, not over, whose device is out of service or on a node that is: one query, fifty at most.

    A node that was silent for a moment is none.
    """
    device = Q(device__state__in=GONE) | ~Q(device__health__in=LENDABLE) | Q(device__set_aside=True)
    node = Q(device__node__state__in=("draining", "maintenance", "unreachable", "fenced", "retired"))
    rows = Pin.objects.filter(device | node, until__gt=now, envelope__let_go_at=None).select_related("envelope")
    return list(rows.order_by("envelope_id", "device_id")[:50])


def shortfall(envelope: Envelope, now: datetime) -> int:
    """By how many GPUs a promise could not be kept at this moment: one query."""
    fine = bookable_devices(envelope.pool).filter(pk=OuterRef("device_id"))
    kept = Pin.objects.filter(Exists(fine), envelope=envelope, since__lte=now, until__gt=now).count()
    return max(0, envelope.gpus - kept) if envelope.starts_at <= now < envelope.ends_at else 0
