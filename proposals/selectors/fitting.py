"""What counts against an agreement, and whether an ask fits."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from allocations.models import Allocation
from allocations.selectors import balances
from allocations.selectors.capacities import capacities
from allocations.timeline import Busy
from cluster.models import Pool
from common.errors import RuleBroken
from common.moments import begin_of
from partners.commitments import Award, Committed, add_up, by_year
from partners.models import Agreement
from partners.policy import check_ask
from proposals.asks import AskLine
from proposals.awards import LineOnPool
from proposals.models import AwardLine, Call, Proposal


@dataclass(frozen=True)
class PoolCapacity:
    """A pool in the window of a line."""

    pool: Pool
    devices: int
    free: int
    promised: int


@dataclass(frozen=True)
class LineCheck:
    """Whether a line fits: `refusal` is the rule it breaks, `used` what counted before it, `pool` the roomiest one."""

    line: AskLine
    refusal: RuleBroken | None
    ceiling: Committed
    used: Committed
    pool: PoolCapacity | None

    @property
    def gpus_left(self) -> int:
        """GPUs at once that the agreement still allows before this line."""
        return max(0, self.ceiling.concurrent_gpus - self.used.concurrent_gpus)

    @property
    def gpu_seconds_left(self) -> int:
        """Device-seconds that the agreement still allows before this line."""
        return max(0, self.ceiling.gpu_seconds - self.used.gpu_seconds)

    @property
    def fits_capacity(self) -> bool:
        """Whether the roomiest pool has so many devices free throughout the window."""
        return self.pool is not None and self.pool.free >= self.line.gpus


def committed(agreement: Agreement, *, but: Proposal | None = None, without: Allocation | None = None) -> Committed:
    """What the agreement's allocations and the awards that wait for an answer already take: two queries. One proposal
    and one allocation can be left out, where it is asked what they may become.
    """
    return committed_by([agreement], but=but, without=without)[agreement.pk]


def committed_by(
    agreements: Iterable[Agreement], *, but: Proposal | None = None, without: Allocation | None = None
) -> dict[int, Committed]:
    """The same of many agreements, by their keys: two queries."""
    spent = balances.committed_by(agreements, without=without)
    offers = AwardLine.objects.filter(decision__proposal__agreement__in=spent, decision__proposal__state="awarded")
    if but is not None:
        offers = offers.exclude(decision__proposal=but)
    columns = ("gpu_seconds", "gpus", "window_from", "window_until", "pool__public_id", "pool__gpu_class__code")
    waiting: dict[int, list[Award]] = {key: [] for key in spent}
    for key, *row in offers.values_list("decision__proposal__agreement_id", *columns):
        waiting[key].append(Award(*row))
    return {key: add_up(awards, spent[key]) for key, awards in waiting.items()}


def waiting_awards(pool: Pool, *, but: Proposal | None = None) -> list[Busy]:
    """GPUs at once on a pool of the awards that wait for an answer: one query."""
    rows = AwardLine.objects.filter(pool=pool, decision__kind="award", decision__proposal__state="awarded")
    if but is not None:
        rows = rows.exclude(decision__proposal=but)
    return [Busy(*row) for row in rows.values_list("window_from", "window_until", "gpus")]


def judge(
    agreement: Agreement, lines: list[AskLine], used: Committed, *, seconds: list[int] | None = None
) -> list[tuple[Committed, RuleBroken | None]]:
    """For each line: what counts before it (the lines above included), and the rule it breaks or None.

    `seconds` replaces the lines' own device-seconds where an award gives a sum of its own. No query.
    """
    amounts = seconds or [line.gpu_seconds for line in lines]
    verdicts: list[tuple[Committed, RuleBroken | None]] = []
    spent, years = used.gpu_seconds, Counter(used.years)
    for place, line in enumerate(lines):
        before = Committed(spent, used.concurrent_gpus + _peak(lines[:place], line), dict(years))
        verdicts.append((before, _refusal(agreement, line, amounts[place], before)))
        spent += amounts[place]
        years.update(by_year(amounts[place], line.window_from, line.window_until))
    return verdicts


def check_lines(agreement: Agreement, lines: list[AskLine], call: Call) -> list[LineCheck]:
    """What the live panel says about each line of an ask: a fixed number of queries."""
    verdicts = judge(agreement, lines, committed(agreement))
    wanted = {line.gpu_class for line in lines}
    pools = list(call.pools.filter(gpu_class__code__in=wanted).select_related("gpu_class"))
    ceiling = Committed(agreement.ceiling_gpu_seconds, agreement.ceiling_concurrent_gpus)
    found = pool_capacities(pools, {(line.window_from, line.window_until) for line in lines})
    return [
        LineCheck(line, refusal, ceiling, before, _roomiest(line, pools, found))
        for line, (before, refusal) in zip(lines, verdicts, strict=True)
    ]


def pool_capacities(pools: list[Pool], days: set[tuple[date, date]]) -> dict[tuple[int, date, date], PoolCapacity]:
    """Each pool from the beginning of one day to the end of another, in the agency's zone, by (pool's key, days).

    Three queries however many of each.
    """
    now = timezone.now()
    windows = {}
    for first, last in days:
        start, end = window_of(first, last)
        windows[first, last] = (max(start, now), end)
    found = capacities(pools, list(windows.values()))
    return {
        (pool.pk, *day): PoolCapacity(pool, devices=one.devices, free=one.free, promised=one.promised)
        for pool in pools
        for day, window in windows.items()
        for one in [found[pool.pk, window]]
    }


def window_of(first: date, last: date) -> tuple[datetime, datetime]:
    """The moments between which two days lie, both counted, in the agency's zone."""
    return begin_of(first), begin_of(last + timedelta(days=1))


def _refusal(agreement: Agreement, line: AskLine, seconds: int, before: Committed) -> RuleBroken | None:
    try:
        check_ask(
            agreement,
            gpu_class_code=line.gpu_class,
            gpus=line.gpus,
            gpu_seconds=seconds,
            window_from=line.window_from,
            window_until=line.window_until,
            committed=before,
            pool=line.pool if isinstance(line, LineOnPool) else "",
        )
    except RuleBroken as refusal:
        return refusal
    return None


def _peak(others: Iterable[AskLine], line: AskLine) -> int:
    """Most GPUs that the other lines may run at once on a day of this line's window."""
    overlapping = [o for o in others if o.window_from <= line.window_until and o.window_until >= line.window_from]
    days = {max(o.window_from, line.window_from) for o in overlapping}
    return max((sum(o.gpus for o in overlapping if o.window_from <= day <= o.window_until) for day in days), default=0)


def _roomiest(
    line: AskLine, pools: list[Pool], found: dict[tuple[int, date, date], PoolCapacity]
) -> PoolCapacity | None:
    fitting = [pool for pool in pools if pool.gpu_class.code == line.gpu_class]
    room = [found[pool.pk, line.window_from, line.window_until] for pool in fitting]
    return max(room, key=lambda capacity: capacity.free, default=None)
