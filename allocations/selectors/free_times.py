"""When so many devices, laid out so, are free for so long: a sweep in the database. Reads only.

Placements stay where they are: the database merges those of each device, keeps the gaps that are long enough, counts by
node (or NVLink domain, or pool) how many devices could start when, and then how many nodes. What comes back are the
stretches of starts, so that the answer's size follows the question, not what is booked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Count, ExpressionWrapper, F, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from allocations import timeline
from allocations.selectors.availability import LEAD, free_devices, whole_minute
from allocations.shapes import ANY, Shape
from allocations.timeline import FOREVER, Spans
from cluster.models import Device, Pool
from cluster.selectors import bookable_devices

Ask = tuple[int, Shape]
"""So many devices, laid out so."""
NEAR = timedelta(days=14)
"""How much of the time is searched first, where windows are so short that there are many gaps for them."""
SHORT = timedelta(days=2)
MANY = 6
"""Devices on one node that are most of it: nodes have eight, or four."""

_LINKED = ExpressionWrapper(Q(parent=None, facts__nvlink_count__gt=0), output_field=BooleanField())

_FREE = """
WITH spots (id, node_id, parent_id, slices, ready, linked) AS MATERIALIZED ({spots}), held AS (
    SELECT s.id, range_agg(tstzrange(lower(p.window) - %(length)s::interval, upper(p.window), '()')) AS no_start
    FROM spots s JOIN allocations_placement p ON {on_spot}
    WHERE NOT p.released AND p.window && tstzrange(%(after)s, %(until)s) AND {counts} AND {ours}
    GROUP BY s.id
){away}, starts AS (
    SELECT s.node_id, s.linked, unnest(tstzmultirange(
        tstzrange(CASE WHEN s.ready THEN %(after)s ELSE greatest(%(after)s, %(soon)s) END, %(last)s, '[]')
    ) - coalesce(h.no_start, '{{}}'){minus}) AS span
    FROM spots s LEFT JOIN held h USING (id) {join}
), free AS MATERIALIZED (
    SELECT node_id, linked, since, until, count(*) AS size FROM (
        SELECT node_id, linked, date_trunc('minute', lower(span) + interval '59.999999 s') AS since,
               upper(span) AS until FROM starts
    ) AS rounded WHERE until IS NULL OR since <= until GROUP BY 1, 2, 3, 4
)"""
"""How many devices of a node can be begun with in [since, until], both included. A window forbids the starts between
its length before it and its end, neither included; what is taken ends at the next whole minute.
"""
_AWAY = """, away AS (
    SELECT p.node_id, range_agg(tstzrange(lower(p.window) - %(length)s::interval, CASE
        WHEN p.lease_id IS NOT NULL AND lower(p.window) < %(soon)s AND upper(p.window) < %(soon)s THEN %(soon)s
        ELSE upper(p.window) END, '()')) AS no_start
    FROM allocations_placement p
    WHERE NOT p.released AND NOT {ours} AND {counts} AND p.node_id IN (SELECT node_id FROM spots)
      AND (p.window && tstzrange(%(after)s, %(until)s) OR lower(p.window) < %(soon)s AND p.lease_id IS NOT NULL)
    GROUP BY p.node_id
)"""
"""When a node is others'. Whoever is on it may give it back late: it is offered from the lead on at the earliest."""

_LEVELS = """, {0} AS MATERIALIZED (
    SELECT grp, at, ends, change, sum(change) OVER (PARTITION BY grp ORDER BY at, ends) AS level FROM (
        SELECT grp, at, ends, sum(change) AS change FROM (
            SELECT {1} AS grp, since AS at, false AS ends, size AS change FROM free WHERE {2}
            UNION ALL
            SELECT {1}, until, true, -size FROM free WHERE {2} AND until IS NOT NULL
        ) AS edges GROUP BY grp, at, ends
    ) AS moments
)"""
"""How many devices of a group could start at a moment. Both ends are included: there, openings come before closings."""

_RUNS = """
SELECT {number} AS number, at FROM (
    SELECT at, ends, sum(change) AS change, sum(sum(change)) OVER (ORDER BY at, ends) AS level FROM (
        SELECT at, ends, CASE WHEN ends THEN -1 ELSE 1 END AS change FROM {levels}
        WHERE (level >= {each}) <> (level - change >= {each})
    ) AS edges GROUP BY at, ends
) AS moments WHERE (level >= {needed}) <> (level - change >= {needed})"""
"""Where enough groups with enough devices begin and cease."""

_OURS = "coalesce(p.shared OR p.organisation_id = ANY(%(tenants)s), false)"
"""Of a placement: it keeps these organisations off its device alone, not off the node."""
_GROUPS = {
    "any": ("pool", "0", "true"),
    "same_node": ("nodes", "node_id", "true"),
    "nodes": ("nodes", "node_id", "true"),
    "nvlink": ("domains", "node_id", "linked"),
}
"""By kind of shape: what its levels are called, what is a group, and which devices count."""


@dataclass(frozen=True)
class Calendar:
    """The bookable devices of a pool from `after` to `before`, and when they are free: for these tenants and this
    envelope, see free_devices. Whole GPUs, or MIG instances of a profile; `only` these devices (by key).
    """

    pool: Pool
    after: datetime
    before: datetime
    now: datetime
    tenants: tuple[int, ...] | None = None
    envelope: int | None = None
    profile: str = ""
    only: tuple[int, ...] | None = None

    def starts(self, count: int, duration: timedelta, shape: Shape = ANY) -> Spans:
        """When so many devices, laid out like this, are free for so long, up to the calendar's end.

        One query; two where most of a node is asked for and for long: then a few of its devices say when it can be at
        all.
        """
        needed, each = shape.groups_of(count)
        if shape.kind == "any" or each < MANY or duration <= SHORT or not shape.fits(count):
            return self.all_starts([(count, shape)], duration)[0]
        likely = self.all_starts([(needed, shape)], duration, few_of=each)[0]
        if not likely:
            return []
        before = self.before if likely[-1][1] == FOREVER else likely[-1][1] + duration
        return replace(self, after=likely[0][0], before=before).all_starts([(count, shape)], duration)[0]

    def all_starts(self, asks: Sequence[Ask], duration: timedelta, *, few_of: int = 0) -> list[Spans]:
        """The same for several asks of one duration, in one query.

        With `few_of`, only so many devices of each node are looked at that one of them is free wherever `few_of` are.
        """
        found: list[list[datetime]] = [[] for _ask in asks]
        possible = {number: ask for number, ask in enumerate(asks) if ask[1].fits(ask[0])}
        last = self.before if self.before == FOREVER else self.before - duration
        if not possible or last < self.after:
            return [[] for _ask in asks]
        sql, values = self._swept(possible, duration, few_of)
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            for number, at in cursor.fetchall():
                found[number].append(at)
        # Beginnings and ends take turns; what has no end goes on for ever, or as long as the calendar does.
        paired = ([*zip(moments[::2], [*moments[1::2], FOREVER], strict=False)] for moments in found)
        return [[(first, min(until, last)) for first, until in spans if first <= last] for spans in paired]

    def nearer(self, duration: timedelta, *, late: bool = False) -> "Calendar | None":
        """A shorter calendar to ask first; None: asking it would save nothing. Where it finds a stretch of starts, the
        first moment of each (with `late`, the last) is the whole calendar's.
        """
        near = NEAR + duration
        if duration > SHORT or self.before - self.after <= 2 * near:
            return None
        if late:
            return None if self.before == FOREVER else replace(self, after=whole_minute(self.before - near))
        return replace(self, before=self.after + near)

    def could_ever(self, count: int, shape: Shape = ANY) -> bool:
        """Whether the bookable devices, if nobody had any of them, would do. One query."""
        return shape.has_room(count, rooms(self.devices(), shape))

    def devices(self) -> QuerySet[Device]:
        """All of them, whoever has them."""
        return self._of_these(bookable_devices(self.pool, profile=self.profile))

    def free(self, start: datetime, end: datetime) -> QuerySet[Device]:
        """Those that are free in the whole of [start, end) and the cleaning after it."""
        mine: Any = {"tenants": self.tenants, "envelope": self.envelope, "profile": self.profile, "now": self.now}
        return self._of_these(free_devices(self.pool, start, end, **mine))

    def _of_these(self, devices: QuerySet[Device]) -> QuerySet[Device]:
        return devices if self.only is None else devices.filter(pk__in=self.only)

    def _swept(self, asks: dict[int, Ask], duration: timedelta, few_of: int) -> tuple[str, dict[str, Any]]:
        kinds = {shape.kind for _count, shape in asks.values()}
        values = {
            "after": self.after,
            "until": None if self.before == FOREVER else self.before + self.pool.turnaround,
            "last": None if self.before == FOREVER else self.before - duration,
            "soon": whole_minute(self.now + LEAD),
            # In seconds: the database reckons with days in the way of a time zone, which takes longer.
            "length": f"{(duration + self.pool.turnaround).total_seconds():.6f} s",
            "envelope": self.envelope,
            "tenants": list(self.tenants or ()),
        }
        counts = "true" if self.envelope is None else "p.envelope_id IS DISTINCT FROM %(envelope)s"
        ours = "true" if self.tenants is None else _OURS
        free = _FREE.format(
            spots=self._spots(values, linked="nvlink" in kinds, few_of=few_of),
            on_spot="p.board_id = s.parent_id AND p.slices && s.slices" if self.profile else "p.board_id = s.id",
            counts=counts,
            ours=ours,
            away="" if self.tenants is None else _AWAY.format(counts=counts, ours=ours),
            minus="" if self.tenants is None else " - coalesce(a.no_start, '{}')",
            join="" if self.tenants is None else "LEFT JOIN away a USING (node_id)",
        )
        levels = {_GROUPS[kind][0]: _LEVELS.format(*_GROUPS[kind]) for kind in sorted(kinds)}
        runs = []
        for number, (count, shape) in asks.items():
            needed, each = shape.groups_of(count)
            runs.append(_RUNS.format(number=number, levels=_GROUPS[shape.kind][0], needed=needed, each=each))
        return free + "".join(levels.values()) + " UNION ALL".join(runs) + " ORDER BY number, at", values

    def _spots(self, values: dict[str, Any], *, linked: bool, few_of: int) -> str:
        """The statement that finds the devices; what it is given joins the values."""
        ready = ExpressionWrapper(Q(state="available"), output_field=BooleanField())
        rows: Any = self.devices().order_by().annotate(ready=ready, linked=_LINKED if linked else Value(False))
        if few_of:
            rows = rows.filter(_LINKED) if linked else rows
            place = Window(RowNumber(), partition_by=[F("node_id")], order_by=[F("pk")])
            rows = rows.annotate(place=place, size=Window(Count("pk"), partition_by=[F("node_id")]))
            rows = rows.filter(place__lte=F("size") - few_of + 1)
        columns = ("pk", "node_id", "parent_id", "slices", "ready", "linked")
        sql, given = rows.values_list(*columns).query.sql_with_params()
        named = {f"spot_{number}": value for number, value in enumerate(given)}
        values |= named
        found: str = sql % tuple(f"%({name})s" for name in named)
        return found


def rooms(devices: QuerySet[Device], shape: Shape) -> list[int]:
    """How many of these devices lie in each group that a shape knows: one query."""
    found: Any = devices.order_by()
    if shape.kind == "any":
        return [found.count()]
    if shape.kind == "nvlink":
        found = found.filter(_LINKED)
    return [size for _node, size in found.values_list("node_id").annotate(size=Count("pk"))]


def calendar_of(
    pool: Pool,
    after: datetime,
    before: datetime = FOREVER,
    *,
    tenants: Collection[int] | None = None,
    envelope: int | None = None,
    profile: str = "",
    only: Collection[int] | None = None,
) -> Calendar:
    """What is free in a pool between two moments; nothing is read yet. With `tenants` and `envelope`, for these; see
    free_devices.

    Of its whole GPUs, or of its MIG instances of a profile. Offers begin on whole minutes, because forms hold no
    seconds: what is taken ends at the next one.
    """
    return Calendar(
        pool,
        whole_minute(after),
        before,
        timezone.now(),
        tenants=None if tenants is None else tuple(tenants),
        envelope=envelope,
        profile=profile,
        only=None if only is None else tuple(only),
    )


def next_free_window(
    pool: Pool,
    device_count: int,
    duration: timedelta,
    after: datetime,
    *,
    shape: Shape = ANY,
    passes: Spans | None = None,
    **whose: Any,
) -> tuple[datetime, datetime] | None:
    """The first window of `duration` from `after` on in which so many devices, laid out like this, are free.

    None: never as things stand. `whose` (tenants, envelope, profile, only) as calendar_of has them. With `passes`,
    starting at one of these moments (Rulebook.starts). Two queries at most.
    """
    calendar = calendar_of(pool, after, **whose)
    for part in (calendar.nearer(duration), calendar):
        found = part.starts(device_count, duration, shape) if part else []
        if passes is not None:
            found = timeline.shared(found, passes)
        if found:
            return found[0][0], found[0][0] + duration
    return None
