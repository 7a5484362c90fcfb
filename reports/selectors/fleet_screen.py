"""The fleet's screen: the bar, the heat map, the lists, for page and API. A fixed number of statements."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from allocations.models import Lease
from allocations.selectors.usage import UsageSums, daily
from common.moments import agency_day
from reports.selectors import fleet_tops
from reports.selectors.fleet import ILL_STATES
from reports.selectors.fleet_parts import Part, Share, bar, parts, quiet
from reports.selectors.fleet_rows import Gpu, Holding, Narrowed, When, gpus_at, holdings, language, when

SOON = timedelta(days=2)
COMING_SHOWN = 8
ILL_SHOWN = 50
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
class Picture:
    """Every GPU of the moment, what each is, and who holds it."""

    when: When
    gpus: list[Gpu]
    parts: Mapping[int, Part]
    holdings: Mapping[int, Holding]
    shares: list[Share]

    @property
    def total(self) -> int:
        """GPUs; those that are cut up count once."""
        return sum(share.gpus for share in self.shares)

    def holding(self, gpu: Gpu) -> Holding | None:
        """The reservation that holds it."""
        return self.holdings.get(gpu.lease_id) if gpu.lease_id else None

    def ill(self, gpu: Gpu) -> bool:
        """Whether it is marked as ill, or was then."""
        return gpu.health != "ok" or gpu.state in ILL_STATES

    @property
    def ill_gpus(self) -> list[Gpu]:
        """Those that are marked; a MIG instance that is as ill as its GPU is not named beside it."""
        marked = {gpu.pk: gpu for gpu in self.gpus if self.ill(gpu)}
        return [gpu for pk, gpu in marked.items() if pk == gpu.board_id or gpu.board_id not in marked][:ILL_SHOWN]

    @property
    def silent(self) -> list[Gpu]:
        """One GPU of each node that is not ready now."""
        gpus = [] if self.when.past else self.gpus
        return list({gpu.node_id: gpu for gpu in gpus if gpu.node_state != "ready"}.values())[:ILL_SHOWN]

    @property
    def ending(self) -> list[Holding]:
        """What ends within two days of the moment."""
        rows = (row for row in self.holdings.values() if row.ends_at < self.when.at + SOON)
        return sorted(rows, key=lambda row: row.ends_at)[:COMING_SHOWN]

    @property
    def nodes(self) -> dict[str, list[list[Gpu]]]:
        """By pool the nodes with their GPUs, in order."""
        rows: dict[str, dict[str, list[Gpu]]] = defaultdict(dict)
        for gpu in self.gpus:
            rows[gpu.pool].setdefault(gpu.node, []).append(gpu)
        return {pool: list(nodes.values()) for pool, nodes in rows.items()}


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


def picture(asked: datetime | None, which: Narrowed, now: datetime) -> Picture:
    """The fleet at a moment (None: now). Three statements."""
    moment = when(asked, now)
    gpus = gpus_at(moment, which)
    by_key = parts(gpus, None if moment.past else quiet(gpus, now))
    return Picture(moment, gpus, by_key, holdings(gpus), bar(gpus, by_key))


def screen(asked: datetime | None, which: Narrowed, sorts: Sorts, now: datetime) -> Screen:
    """Everything that the page shows. Seven statements."""
    found = picture(asked, which, now)
    day = agency_day(found.when.at)
    use = daily(Lease.objects.all(), day - timedelta(days=1), day)
    return Screen(
        picture=found,
        idle=fleet_tops.most_idle(found.holdings, sorts.idle),
        hot=fleet_tops.hottest(found.gpus, sorts.hot),
        faulty=fleet_tops.most_errors(found.gpus, found.when.at, sorts.errors),
        use=UsageSums.total(sums for _day, sums in use),
        upcoming=_upcoming(now),
    )


def _upcoming(now: datetime) -> list[Lease]:
    return list(
        Lease.objects.filter(state="scheduled", starts_at__lt=now + SOON)
        .select_related("allocation__project__organisation", "allocation__pool")
        .order_by("starts_at")[:COMING_SHOWN]
    )
