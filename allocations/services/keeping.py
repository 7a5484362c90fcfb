"""How an envelope's promise is kept: its placements lie wherever nothing else lies on its pinned devices.

Each call is between a lock on the devices and the end of the transaction. Nothing is asked where nothing is guaranteed.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange
from django.utils import timezone

from allocations.models import Allocation, Envelope, Pin, Placement
from allocations.timeline import FOREVER, Busy, gaps
from cluster.models import Device


def make_way(allocation: Allocation, devices: Iterable[Device]) -> None:
    """The allocation's own promise lets these devices go, so that its lease can lie there. `keep` follows."""
    if allocation.envelope_key is not None:
        kept = Placement.objects.filter(envelope_id=allocation.envelope_key, released=False)
        kept.filter(device__in=[device.pk for device in devices]).delete()


def keep(allocation: Allocation, devices: Iterable[Device]) -> None:
    """Keep what is left of these devices for the allocation's own promise again."""
    if allocation.envelope_key is not None:
        keep_all(allocation.envelope, devices)


def keep_all(envelope: Envelope, devices: Iterable[Device]) -> None:
    """Placements of the envelope from now on in the gaps of these devices, as far as they are pinned.

    Its own placements there are written anew. A device that somebody else has is kept from when they are gone.
    """
    known = {device.pk: device for device in devices}
    pins = list(Pin.objects.filter(envelope=envelope, device__in=known)) if envelope.let_go_at is None else []
    now = timezone.now()
    rows = Placement.objects.filter(board__in=known, released=False)
    rows.filter(envelope=envelope).delete()
    taken: dict[int, list[Busy]] = defaultdict(list)
    for pk, start, end in rows.values_list("board_id", "window__startswith", "window__endswith"):
        taken[pk].append(Busy(start or now, end or FOREVER))
    shared = envelope.pool.shared_nodes
    Placement.objects.bulk_create(
        Placement(
            envelope=envelope,
            device_id=pin.device_id,
            board_id=pin.device_id,
            slices=NumericRange(0, known[pin.device_id].gpu_class.memory_slices),
            window=DateTimeTZRange(start, end),
            node_id=known[pin.device_id].node_id,
            organisation_id=envelope.organisation_id,
            shared=shared,
        )
        for pin in pins
        for start, end in _gaps(pin, taken[pin.device_id], now)
    )


def _gaps(pin: Pin, taken: list[Busy], now: datetime) -> list[tuple[datetime, datetime]]:
    first = max(pin.since, now)
    return [(start, min(end, pin.until)) for start, end in gaps(taken, first) if start < pin.until]
