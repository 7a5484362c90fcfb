"""Who has which device when: what the calendar draws and lists. Reads only; five queries whatever is booked."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from django.db.models import Count, Q
from django.db.models.functions import Greatest

from allocations.models import Placement
from allocations.selectors.availability import overlapping
from allocations.selectors.boards import Parts
from allocations.timeline import Busy, gaps
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices
from partners.models import Organisation, organisation_ids_of

Kind = Literal["own", "taken", "cleaning", "kept", "promised", "maintenance", "out"]
"""`kept`: guaranteed to the reader's own award and free for it; `promised`: to somebody's, as the agency sees it."""


@dataclass(frozen=True)
class Stretch:
    """[start, end) of a row, cut to what was asked. `open`: nobody knows its end yet.

    `lease` and `organisation` are empty where they are none of the reader's business. `taken` of the row's devices;
    on a row of one device it is 1.
    """

    kind: Kind
    start: datetime
    end: datetime
    taken: int = 1
    lease: str = ""
    organisation: str = ""
    open: bool = False


@dataclass(frozen=True)
class Row:
    """A device, or a node with all of its devices."""

    node: str
    index: int | None
    devices: int
    stretches: tuple[Stretch, ...]
    free: tuple[tuple[datetime, datetime], ...]
    """When all of the row is free."""
    place: str = ""
    profile: str = ""
    """Of a MIG instance; of a node's instances taken together, where they are all of one kind."""
    parts: bool = False
    """MIG instances, not whole GPUs."""

    @property
    def name(self) -> str:
        """As people call it."""
        if self.index is None:
            return f"{self.node} MIG" if self.parts else self.node
        return f"{self.node}/{self.place}" + (f" {self.profile}" if self.profile else "")


def occupancy(
    pool: Pool, start: datetime, end: datetime, user: Any, *, nodes: Collection[int] | None = None
) -> list[Row]:
    """One row a device of the pool (of these nodes, by key), in order of node and index, for one reader.

    A GPU that is cut up has no row of its own: its MIG instances have. The agency sees whose each stretch is; a partner
    sees its own, and of others only that the device is taken.
    """
    cut = Q(parent=None, set_aside=True, instances__isnull=False)
    devices = Device.objects.filter(node__pool=pool).exclude(state="retired").exclude(cut).select_related("node")
    if nodes is not None:
        devices = devices.filter(node__in=nodes)
    rows = list(devices.order_by("node__name", "index", "slices", "pk"))
    found = _placed(rows, start, end, user)
    usable = set(bookable_devices(pool, profile=None).values_list("pk", flat=True))
    for device in rows:
        if device.pk not in usable:
            found[device.pk].append(Stretch("out", start, end, open=True))
    return [
        replace(
            _row(device.node.name, device.index, 1, found[device.pk], start, end),
            place=device.place,
            profile=device.profile,
            parts=bool(device.profile),
        )
        for device in rows
    ]


def by_node(rows: Iterable[Row], start: datetime, end: datetime) -> list[Row]:
    """The same, a row a node: each stretch says how many of its devices are taken; own ones stand for themselves.

    A node's MIG instances have a row of their own: they are no GPUs.
    """
    groups: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.node, row.parts].append(row)
    found = []
    for (name, parts), group in sorted(groups.items()):
        kinds = {row.profile for row in group}
        one = kinds.pop() if len(kinds) == 1 else ""
        found.append(replace(_node_row(name, group, start, end), parts=parts, profile=one))
    return found


def node_occupancy(pool: Pool, start: datetime, end: datetime, user: Any, *, nodes: Collection[int]) -> list[Row]:
    """One row a node of the pool: how many of its GPUs are taken when and by whom, not by which reservation.

    The database counts them, so that months of a large pool cost what they show, not what is booked: six queries. Where
    GPUs are cut into MIG instances, as `by_node`.
    """
    devices = Device.objects.filter(node__pool=pool, node__in=nodes).exclude(state="retired")
    if devices.filter(parent__isnull=False).exists():
        return by_node(occupancy(pool, start, end, user, nodes=nodes), start, end)
    sizes = devices.order_by("node__name").values_list("node_id", "node__name").annotate(size=Count("pk"))
    well = bookable_devices(pool).filter(node__in=nodes).order_by().values_list("node_id").annotate(size=Count("pk"))
    usable = dict(well)
    mine = set(organisation_ids_of(user).values_list("organisation_id", flat=True))
    found: dict[int, list[Stretch]] = defaultdict(list)
    placed = Placement.objects.filter(overlapping(start, end), node__in=nodes).order_by()
    taken = list(
        placed.annotate(ends=Greatest("lease__ends_at", "lease__pending_ends_at"))
        .values_list("node_id", "window", "organisation_id", "maintenance_id", "envelope_id", "ends")
        .annotate(size=Count("pk"))
    )
    names = {row.pk: row.name for row in Organisation.objects.filter(pk__in={each[2] for each in taken})}
    for node_id, window, organisation_id, work, envelope, ends, size in taken:
        kind, told = _kind(user, organisation_id in mine, work, envelope)
        whole = Stretch(
            kind=kind,
            start=max(window.lower or start, start),
            end=min(window.upper or end, end),
            taken=size,
            organisation=names[organisation_id] if told else "",
            open=window.upper is None,
        )
        found[node_id] += _with_cleaning(whole, ends)
    rows = []
    for node_id, name, size in sizes:
        out = size - usable.get(node_id, 0)
        gone = [Stretch("out", start, end, taken=out, open=True)] if out else []
        rows.append(_row(name, None, size, [*found[node_id], *gone], start, end))
    return rows


def _kind(user: Any, own: bool, work: int | None, envelope: int | None) -> tuple[Kind, bool]:
    """What a placement is to this reader, and whether they are told whose it is."""
    told = user.is_agency or own
    if work is not None:
        return "maintenance", False
    if envelope is not None:
        return "kept" if own else "promised" if told else "taken", told
    return "own" if own else "taken", told


def _placed(rows: list[Device], start: datetime, end: datetime, user: Any) -> dict[int, list[Stretch]]:
    mine = set(organisation_ids_of(user).values_list("organisation_id", flat=True))
    columns = (
        *("board_id", "slices", "window__startswith", "window__endswith", "organisation_id", "maintenance_id"),
        "envelope_id",
        *("lease__public_id", "lease__ends_at", "lease__pending_ends_at"),
    )
    found: dict[int, list[Stretch]] = defaultdict(list)
    placed = Placement.objects.filter(overlapping(start, end), board__in={device.board_id for device in rows})
    taken = list(placed.values_list(*columns))
    names = {row.pk: row.name for row in Organisation.objects.filter(pk__in={each[4] for each in taken})}
    parts = Parts(rows)
    for board_id, slices, lower, upper, organisation_id, work, envelope, lease, *ends in taken:
        kind, told = _kind(user, organisation_id in mine, work, envelope)
        whole = Stretch(
            kind=kind,
            start=max(lower or start, start),
            end=min(upper or end, end),
            lease=(lease or "") if told else "",
            organisation=names[organisation_id] if told else "",
            open=upper is None,
        )
        for device_id in parts.taken_by(board_id, slices):
            found[device_id] += _with_cleaning(whole, max(filter(None, ends), default=None))
    return found


def _with_cleaning(stretch: Stretch, ends_at: datetime | None) -> list[Stretch]:
    """What lies after the end of a reservation is the cleaning of its devices."""
    if ends_at is None or stretch.open or ends_at >= stretch.end:
        return [stretch]
    cleaning = replace(stretch, kind="cleaning", start=max(ends_at, stretch.start), lease="", organisation="")
    return [replace(stretch, end=ends_at), cleaning] if ends_at > stretch.start else [cleaning]


def _row(node: str, index: int | None, devices: int, stretches: list[Stretch], start: datetime, end: datetime) -> Row:
    stretches.sort(key=lambda stretch: (stretch.start, stretch.kind))
    busy = [Busy(stretch.start, stretch.end) for stretch in stretches if stretch.kind != "kept"]
    free = tuple((opens, min(closes, end)) for opens, closes in gaps(busy, start) if opens < end)
    return Row(node, index, devices, tuple(stretches), free)


def _node_row(name: str, group: list[Row], start: datetime, end: datetime) -> Row:
    """Stretches of the same kind and lease that lie at the same time on several devices become one."""
    merged: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in group:
        for each in row.stretches:
            merged[each.kind, each.start, each.end, each.lease, each.organisation, each.open] += 1
    stretches = [
        Stretch(kind, since, until, taken, lease, organisation, still)
        for (kind, since, until, lease, organisation, still), taken in merged.items()
    ]
    return _row(name, None, len(group), stretches, start, end)
