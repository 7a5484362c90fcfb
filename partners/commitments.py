"""What counts against an agreement, and how hours lie in calendar years. Plain values, no query."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from common.moments import agency_day


@dataclass(frozen=True)
class Committed:
    """What already counts against an agreement: device-seconds awarded, in all and by calendar year; GPUs that may run
    at once. `pools` (public ids) and `gpu_classes` are those that open awards are in, `last_day` the latest day of one.
    """

    gpu_seconds: int = 0
    concurrent_gpus: int = 0
    years: Mapping[int, int] = field(default_factory=dict)
    pools: frozenset[str] = frozenset()
    gpu_classes: frozenset[str] = frozenset()
    last_day: date | None = None


@dataclass(frozen=True)
class Award:
    """One award as it counts: device-seconds spread evenly over [begins, ends). `open`: its GPUs may still run."""

    gpu_seconds: int
    gpus: int
    begins: datetime
    ends: datetime
    pool: str
    gpu_class: str
    open: bool = True


def add_up(awards: Iterable[Award], more: Committed | None = None) -> Committed:
    """The sum of awards, on top of what is committed already."""
    before = more or Committed()
    seconds, gpus = before.gpu_seconds, before.concurrent_gpus
    years = Counter(before.years)
    pools, classes, last = set(before.pools), set(before.gpu_classes), before.last_day
    for award in awards:
        seconds += award.gpu_seconds
        first, until = agency_day(award.begins), agency_day(award.ends - timedelta(microseconds=1))
        years.update(by_year(award.gpu_seconds, first, until))
        if award.open:
            gpus += award.gpus
            pools.add(award.pool)
            classes.add(award.gpu_class)
            last = max(last or until, until)
    return Committed(seconds, gpus, dict(years), frozenset(pools), frozenset(classes), last)


def by_year(gpu_seconds: int, first: date, last: date) -> dict[int, int]:
    """Device-seconds spread evenly over the days from `first` to `last` (both count), by calendar year.

    An award says no more of when it is used. What is left over by rounding goes to the last year.
    """
    days = max(1, (last - first).days + 1)
    shares: dict[int, int] = {}
    for year in range(first.year, last.year + 1):
        begin, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        shares[year] = gpu_seconds * ((end - begin).days + 1) // days
    shares[max(first.year, last.year)] = gpu_seconds - sum(
        share for year, share in shares.items() if year != max(first.year, last.year)
    )
    return shares
