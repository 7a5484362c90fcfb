"""The programme as a whole: what was asked, awarded and used, by call, region and size; idleness, time to the first
GPU-hour, energy. Reads only: a fixed number of queries, whatever there is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from allocations.models import Lease
from allocations.selectors import usage
from allocations.selectors.usage import UsageSums
from common.errors import Text
from common.moments import begin_of
from partners.models import Organisation
from projects.models import Project
from proposals.models import AwardLine, Call, Proposal, RequestLine
from proposals.selectors.budgets import GIVEN
from proposals.selectors.eligibility import NOT_COUNTED
from usage.selectors.figures import bars

PUBLISHED_GRAMS = 417_300
"""Of CO2 equivalents a MWh at the point of use in 2023, as the Ministry of Climate, Energy and Environment says."""


@dataclass(frozen=True)
class Asked:
    """A proposal that was handed in, with what came of it: device-seconds, and the time to its first GPU-hour."""

    call_id: int
    region: str
    size: str
    given: bool
    asked: int
    awarded: int
    use: UsageSums
    waited: timedelta | None


@dataclass(frozen=True)
class GroupRow:
    """The proposals of one call, region or size. Waits are of those that have had a GPU-hour."""

    name: Text
    url: str
    proposals: int
    given: int
    asked: int
    awarded: int
    use: UsageSums
    waits: tuple[timedelta, ...]

    @property
    def median_wait(self) -> timedelta | None:
        """From handing in to the first GPU-hour: half of them were faster."""
        return quantile(self.waits, 0.5)


@dataclass(frozen=True)
class Carbon:
    """Energy of GPUs while they were held, and what it stands for. `grams_per_mwh`, and whose figure it is."""

    kwh: float
    grams_per_mwh: int
    source: str

    @property
    def kilograms(self) -> float:
        """Of CO2 equivalents."""
        return self.kwh * self.grams_per_mwh / 1_000_000


@dataclass(frozen=True)
class Programme:
    """Proposals handed in from the first day to the last (of the site's zone), and what GPUs did on these days."""

    since: date
    until: date
    decided_until: datetime | None
    whole: GroupRow
    calls: tuple[GroupRow, ...]
    regions: tuple[GroupRow, ...]
    sizes: tuple[GroupRow, ...]
    bars: tuple[tuple[str, UsageSums], ...]
    used: UsageSums

    @property
    def slow_wait(self) -> timedelta | None:
        """Nine of ten were faster."""
        return quantile(self.whole.waits, 0.9)

    @property
    def carbon(self) -> Carbon:
        """Of these days."""
        return carbon_of(self.used)


def programme(user: Any, since: date, until: date) -> Programme:
    """Figures for whoever works for the agency: nine queries."""
    days = tuple(usage.daily(Lease.objects.visible_to(user), since, until))
    rows = _asked(user, since, until)
    calls = Call.objects.in_bulk({row.call_id for row in rows})
    named: Callable[[Any], tuple[Text, str]] = lambda key: (calls[key].title, calls[key].get_absolute_url())  # noqa: E731
    return Programme(
        since=since,
        until=until,
        decided_until=usage.decided_until(),
        whole=_group((_("All"), ""), rows),
        calls=_groups(rows, lambda row: row.call_id, sorted(calls, key=lambda key: -key), named),
        regions=_groups(rows, lambda row: row.region, (*Organisation.Region.values, ""), _choice(Organisation.Region)),
        sizes=_groups(rows, lambda row: row.size, (*Organisation.Size.values, ""), _choice(Organisation.Size)),
        bars=tuple(bars(days, since, until)),
        used=UsageSums.total(sums for _day, sums in days),
    )


def carbon_of(sums: UsageSums) -> Carbon:
    """By the factor of the settings, with its source."""
    grams = settings.CARBON_GRAMS_PER_MWH
    published = _(
        "Ministry of Climate, Energy and Environment: electricity emission factor of 2023 at the point of use"
    )
    said = "" if settings.CARBON_SOURCE == "-" else settings.CARBON_SOURCE
    own = _("set by this site (CARBON_GRAMS_PER_MWH)")
    return Carbon(sums.energy_kwh, grams, said or (published if grams == PUBLISHED_GRAMS else own))


def quantile(waits: Iterable[timedelta], part: float) -> timedelta | None:
    """The wait that this part of them did not exceed; None of none."""
    ordered = sorted(waits)
    return ordered[max(0, -(-len(ordered) * int(100 * part) // 100) - 1)] if ordered else None


def _asked(user: Any, since: date, until: date) -> list[Asked]:
    """Every proposal that was handed in on these days: six queries."""
    window = {"submitted_at__gte": begin_of(since), "submitted_at__lt": begin_of(until + timedelta(days=1))}
    chosen = Proposal.objects.visible_to(user).filter(**window).exclude(state__in=NOT_COUNTED)
    mine = Lease.objects.visible_to(user).filter(
        allocation__project__proposal_ref__in=chosen.order_by().values("public_id")
    )
    lines_asked = RequestLine.objects.filter(proposal__in=chosen.order_by())
    asked = _sums(lines_asked, "proposal_id", F("gpus") * F("hours") * 3600)
    lines = AwardLine.objects.filter(decision__proposal__in=chosen.order_by(), decision__kind="award")
    awarded = _sums(lines.filter(decision__proposal__state__in=GIVEN), "decision__proposal_id", F("gpu_seconds"))
    use, first = _use_of(mine), _first_hours(mine)
    facts = chosen.order_by().values_list(
        *("pk", "public_id", "call_id", "organisation__region", "organisation__size", "state", "submitted_at")
    )
    return [
        Asked(
            call_id=call,
            region=region,
            size=size,
            given=state in GIVEN,
            asked=asked.get(pk, 0),
            awarded=awarded.get(pk, 0),
            use=use.get(ref, UsageSums()),
            waited=first[ref] - submitted if ref in first and submitted else None,
        )
        for pk, ref, call, region, size, state, submitted in facts
    ]


def _sums(rows: Any, by: str, amount: Any) -> dict[int, int]:
    return dict(rows.order_by().values_list(by).annotate(total=Sum(amount)))


def _use_of(leases: Any) -> dict[str, UsageSums]:
    found = usage.sums_by("project", leases)
    refs = Project.objects.filter(pk__in=found).order_by().values_list("pk", "proposal_ref")
    sums: dict[str, UsageSums] = defaultdict(UsageSums)
    for pk, ref in refs:
        sums[ref] += found[pk]
    return sums


def _first_hours(leases: Any) -> dict[str, datetime]:
    """When the GPUs that each proposal was handed first had made an hour together: an hour after it for one GPU."""
    ref = "allocation__project__proposal_ref"
    rows = leases.exclude(active_at=None).order_by(ref, "active_at").distinct(ref)
    return {
        key: at + timedelta(hours=1) * slices_of / (count * slices)
        for key, at, count, slices, slices_of in rows.values_list(
            ref, "active_at", "device_count", "slices", "slices_of"
        )
    }


def _choice(choices: Any) -> Callable[[str], tuple[Text, str]]:
    return lambda value: (choices(value).label if value else _("not said"), "")


def _groups(
    rows: list[Asked], key: Callable[[Asked], Any], order: Iterable[Any], named: Callable[[Any], tuple[Text, str]]
) -> tuple[GroupRow, ...]:
    found: dict[Any, list[Asked]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return tuple(_group(named(value), found[value]) for value in order if value in found)


def _group(named: tuple[Text, str], rows: list[Asked]) -> GroupRow:
    return GroupRow(
        *named,
        proposals=len(rows),
        given=sum(row.given for row in rows),
        asked=sum(row.asked for row in rows),
        awarded=sum(row.awarded for row in rows),
        use=UsageSums.total(row.use for row in rows),
        waits=tuple(row.waited for row in rows if row.waited is not None),
    )
