"""The fleet's screen: the bar, the heat map, the lists, for page and API. A fixed number of statements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.db import connection

from allocations.models import Lease
from allocations.selectors.usage import UsageSums, daily
from common.moments import agency_day
from reports.selectors import fleet_tops
from reports.selectors.fleet_counts import Asked, Counted, Piece, counted
from reports.selectors.fleet_parts import Share
from reports.selectors.fleet_rows import ENDING_SHOWN, Gpu, Holding, gpus_between, gpus_of, holdings, when
from reports.selectors.fleet_sql import Bounds, Narrowed, When, language

SOON = timedelta(days=2)
COMING_SHOWN = 8
DRAWN = Asked(map=True)
_CHOICES = """
SELECT 'pool', public_id, name FROM cluster_pool
UNION ALL SELECT 'gpu_class', code, name FROM cluster_gpuclass
UNION ALL SELECT 'organisation', o.public_id, o.name_{language} FROM partners_organisation o WHERE EXISTS (
    SELECT FROM allocations_allocation a JOIN projects_project j ON j.id = a.project_id WHERE j.organisation_id = o.id)
UNION ALL SELECT 'call', public_id, title_{language} FROM proposals_call WHERE published_at IS NOT NULL
ORDER BY 1, 3, 2
"""


@dataclass(frozen=True)
class Sorts:
    """By what each list is sorted; empty: the usual."""

    idle: str = ""
    hot: str = ""
    errors: str = ""


@dataclass(frozen=True)
class Heat:
    """What is drawn of the map: GPUs of one moment, and who holds them."""

    when: When
    bounds: Bounds
    gpus: list[Gpu]
    holdings: Mapping[int, Holding]

    @property
    def begins(self) -> str:
        """The name of its first node."""
        return self.gpus[0].node if self.gpus else ""

    @property
    def ends(self) -> str:
        """The name of its last node."""
        return self.gpus[-1].node if self.gpus else ""

    @property
    def nodes(self) -> dict[str, list[list[Gpu]]]:
        """By pool the nodes with their GPUs, in order."""
        rows: dict[str, dict[str, list[Gpu]]] = defaultdict(dict)
        for gpu in self.gpus:
            rows[gpu.pool].setdefault(gpu.node, []).append(gpu)
        return {pool: list(nodes.values()) for pool, nodes in rows.items()}


@dataclass(frozen=True)
class Picture:
    """What every GPU of the moment is, counted, and those that are named: `known` by key."""

    when: When
    counted: Counted
    known: Mapping[int, Gpu]
    holdings: Mapping[int, Holding]

    @property
    def shares(self) -> list[Share]:
        """The bar: all seven parts."""
        return self.counted.shares

    @property
    def total(self) -> int:
        """GPUs; those that are cut up count once."""
        return sum(share.gpus for share in self.shares)

    @cached_property
    def heat(self) -> Heat:
        """The piece of the map that is drawn at once."""
        bounds = next((piece.bounds for piece in self.counted.pieces if piece.shown), Bounds())
        drawn = set(self.counted.drawn)
        return Heat(self.when, bounds, [gpu for pk, gpu in self.known.items() if pk in drawn], self.holdings)

    @property
    def pieces(self) -> list[Piece]:
        """All pieces of the map, in order; one where it is drawn whole."""
        return self.counted.pieces

    @property
    def gpus(self) -> list[Gpu]:
        """What is drawn of it."""
        return self.heat.gpus

    @property
    def rows(self) -> list[Gpu]:
        """The page of the table."""
        return self._those(self.counted.rows)

    def holding(self, gpu: Gpu) -> Holding | None:
        """The reservation that holds it."""
        return self.holdings.get(gpu.lease_id) if gpu.lease_id else None

    @property
    def ill_gpus(self) -> list[Gpu]:
        """Those that are marked; a MIG instance that is as ill as its GPU is not named beside it."""
        return self._those(self.counted.ill)

    @property
    def silent(self) -> list[Gpu]:
        """One GPU of each node that is not ready now."""
        return self._those(self.counted.silent)

    @property
    def ending(self) -> list[Holding]:
        """What ends within two days of the moment."""
        held = set(self.counted.leases)
        rows = (row for row in self.holdings.values() if row.pk in held and row.ends_at < self.when.at + SOON)
        return sorted(rows, key=lambda row: (row.ends_at, row.pk))[:ENDING_SHOWN]

    def _those(self, keys: Iterable[int]) -> list[Gpu]:
        return [self.known[pk] for pk in keys if pk in self.known]


@dataclass(frozen=True)
class Screen:
    """The page. `use`: what was decided of the moment's day and the one before, of all organisations."""

    picture: Picture
    idle: list[fleet_tops.IdleHolding]
    hot: list[Gpu]
    faulty: list[fleet_tops.Faulty]
    use: UsageSums
    upcoming: list[Lease]


def choices() -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: (public id or code, name) by filter. One statement."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_CHOICES.format(language=language()))
        for name, key, label in cursor.fetchall():
            found[name].append((key, label))
    return dict(found)


def picture(asked: datetime | None, which: Narrowed, now: datetime, wanted: Asked = DRAWN) -> Picture:
    """The fleet at a moment (None: now). Three statements."""
    moment = when(asked, now)
    return _named(moment, counted(moment, which, wanted))


def heat(asked: datetime | None, which: Narrowed, now: datetime, bounds: Bounds) -> Heat:
    """A piece of the map. Two statements."""
    moment = when(asked, now)
    gpus = gpus_between(moment, which, bounds)
    return Heat(moment, bounds, gpus, holdings({gpu.lease_id for gpu in gpus if gpu.lease_id}))


def screen(asked: datetime | None, which: Narrowed, sorts: Sorts, now: datetime, wanted: Asked) -> Screen:
    """Everything that the page shows. Seven statements."""
    moment = when(asked, now)
    errors = fleet_tops.errors_until(moment.at)
    wanted = replace(wanted, lists=True, hot_by=sorts.hot, known=[row.device for row in errors])
    found = counted(moment, which, wanted)
    idle, worst = (
        fleet_tops.idle_sums(found.leases, sorts.idle),
        fleet_tops.most_errors(errors, found.known, sorts.errors),
    )
    shown = _named(moment, found, more=[*found.hot, *(row.device for row in worst)], leases=idle)
    day = agency_day(moment.at)
    use = daily(Lease.objects.all(), day - timedelta(days=1), day)
    return Screen(
        picture=shown,
        idle=[fleet_tops.IdleHolding(shown.holdings[pk], sums) for pk, sums in idle.items() if pk in shown.holdings],
        hot=[shown.known[pk] for pk in found.hot if pk in shown.known],
        faulty=fleet_tops.faulty(worst, shown.known),
        use=UsageSums.total(sums for _day, sums in use),
        upcoming=_upcoming(now),
    )


def _named(moment: When, found: Counted, more: Iterable[int] = (), leases: Iterable[int] = ()) -> Picture:
    keys = {*found.drawn, *found.rows, *found.ill, *found.silent, *more}
    known = gpus_of(moment, list(keys))
    held = {gpu.lease_id for gpu in known.values() if gpu.lease_id}
    return Picture(moment, found, known, holdings({*held, *leases}, found.leases, moment.at + SOON))


def _upcoming(now: datetime) -> list[Lease]:
    return list(
        Lease.objects.filter(state="scheduled", starts_at__lt=now + SOON)
        .select_related("allocation__project__organisation", "allocation__pool")
        .order_by("starts_at")[:COMING_SHOWN]
    )
