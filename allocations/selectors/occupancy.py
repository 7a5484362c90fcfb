"""Who has which device when: what the calendar draws and lists. Reads only; five queries whatever is booked."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from django.db import connection
from django.db.models import Count, Q

from allocations.models import Placement
from allocations.selectors.availability import overlapping
from allocations.selectors.boards import Parts
from allocations.timeline import gaps
from cluster.models import Device, Pool
from cluster.selectors import WELL, bookable_devices
from partners.models import Organisation, organisation_ids_of

Kind = Literal["own", "taken", "cleaning", "kept", "promised", "maintenance", "out"]
"""`kept`: guaranteed to the reader's own award and free for it; `promised`: to somebody's, as the agency sees it."""

_TAKEN = """
SELECT node_id, organisation_id, maintenance_id, envelope_id, date_part('epoch', since), date_part('epoch', until),
       still, size, ends
FROM (
    SELECT p.node_id, p.organisation_id, p.maintenance_id, p.envelope_id,
           greatest(lower(p.window), %(start)s) AS since, least(upper(p.window), %(end)s) AS until,
           upper_inf(p.window) AS still, count(*) AS size,
           CASE WHEN greatest(l.ends_at, l.pending_ends_at) < upper(p.window)
                THEN greatest(l.ends_at, l.pending_ends_at) END AS ends
    FROM allocations_placement p LEFT JOIN allocations_lease l ON l.id = p.lease_id
    WHERE NOT p.released AND p.window && tstzrange(%(start)s, %(end)s) AND p.node_id = ANY(%(nodes)s)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 9
) AS taken
"""
"""What is taken of each node, cut to the time that is asked; last, when its cleaning begins. Bounds come in seconds: a
driver reads thousands of moments slowly, and most of them are the same ones."""
_BY_START = attrgetter("start", "kind")


class Stretch(NamedTuple):
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

    The database counts them, so that months of a large pool cost what they show, not what is booked: four queries.
    Where GPUs are cut into MIG instances, as `by_node`.
    """
    devices = Device.objects.filter(node__pool=pool, node__in=nodes).exclude(state="retired")
    sizes = list(
        devices.order_by("node__name")
        .values_list("node_id", "node__name")
        .annotate(
            size=Count("pk"),
            lent=Count("pk", filter=WELL & Q(set_aside=False)),
            parts=Count("pk", filter=Q(parent__isnull=False)),
        )
    )
    if any(parts for *_node, parts in sizes):
        return by_node(occupancy(pool, start, end, user, nodes=nodes), start, end)
    found = _counted(start, end, user, [node_id for node_id, *_size in sizes])
    rows = []
    for node_id, name, size, lent, _parts in sizes:
        gone = [Stretch("out", start, end, taken=size - lent, open=True)] if lent < size else []
        rows.append(_row(name, None, size, [*found[node_id], *gone], start, end))
    return rows


class _Moments(dict[float, datetime]):
    """Each moment once, by its seconds."""

    def __missing__(self, seconds: float) -> datetime:
        found = self[seconds] = datetime.fromtimestamp(seconds, UTC)
        return found


def _counted(start: datetime, end: datetime, user: Any, nodes: list[int]) -> dict[int, list[Stretch]]:
    mine = set(organisation_ids_of(user).values_list("organisation_id", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN, {"start": start, "end": end, "nodes": nodes})
        taken = cursor.fetchall()
    names = {row.pk: row.name for row in Organisation.objects.filter(pk__in={each[1] for each in taken})}
    kinds: dict[tuple[int | None, ...], tuple[Kind, str]] = {}
    moments = _Moments()
    found: dict[int, list[Stretch]] = defaultdict(list)
    for node_id, organisation_id, work, envelope, since, until, still, size, ends in taken:
        holder = (organisation_id, work, envelope)
        if holder not in kinds:
            kind, told = _kind(user, organisation_id in mine, work, envelope)
            kinds[holder] = (kind, names[organisation_id] if told else "")
        kind, name = kinds[holder]
        whole = Stretch(kind, moments[since], moments[until], size, "", name, still)
        if ends is None:
            found[node_id].append(whole)
        else:
            found[node_id] += _with_cleaning(whole, ends)
    return found


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
        *("board_id", "slices__startswith", "slices__endswith", "window__startswith", "window__endswith"),
        *("organisation_id", "maintenance_id"),
        "envelope_id",
        *("lease__public_id", "lease__ends_at", "lease__pending_ends_at"),
    )
    found: dict[int, list[Stretch]] = defaultdict(list)
    placed = Placement.objects.filter(overlapping(start, end), board__in={device.board_id for device in rows})
    taken = list(placed.values_list(*columns))
    names = {row.pk: row.name for row in Organisation.objects.filter(pk__in={each[5] for each in taken})}
    parts = Parts(rows)
    for board_id, lowest, highest, lower, upper, organisation_id, work, envelope, lease, *ends in taken:
        kind, told = _kind(user, organisation_id in mine, work, envelope)
        whole = Stretch(
            kind=kind,
            start=max(lower or start, start),
            end=min(upper or end, end),
            lease=(lease or "") if told else "",
            organisation=names[organisation_id] if told else "",
            open=upper is None,
        )
        for device_id in parts.taken_by(board_id, lowest, highest):
            found[device_id] += _with_cleaning(whole, max(filter(None, ends), default=None))
    return found


def _with_cleaning(stretch: Stretch, ends_at: datetime | None) -> list[Stretch]:
    """What lies after the end of a reservation is the cleaning of its devices."""
    if ends_at is None or stretch.open or ends_at >= stretch.end:
        return [stretch]
    cleaning = stretch._replace(kind="cleaning", start=max(ends_at, stretch.start), lease="", organisation="")
    return [stretch._replace(end=ends_at), cleaning] if ends_at > stretch.start else [cleaning]


def _row(node: str, index: int | None, devices: int, stretches: list[Stretch], start: datetime, end: datetime) -> Row:
    stretches.sort(key=_BY_START)
    busy = [stretch for stretch in stretches if stretch.kind != "kept"]
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
