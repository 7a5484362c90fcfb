"""An organisation's own figures: what it holds, what becomes of it, how long it lasts, what it could make more of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from allocations.lifecycle import OVER
from allocations.models import Allocation, Lease
from allocations.selectors import usage
from allocations.selectors.balances import Balance, Forecast, outlooks
from allocations.selectors.usage import UsageSums
from allocations.usage_classes import UsageClass
from common.moments import begin_of
from partners.models import Organisation
from usage.selectors.hints import Hints, hints
from usage.selectors.sums import SumsRow, rows_by

MOST_DAYS = 92
"""As many bars as one can tell apart; of a longer time months are drawn."""


@dataclass(frozen=True)
class Outlook:
    """An allocation, what is left of it, and where it is heading."""

    allocation: Allocation
    balance: Balance
    forecast: Forecast


@dataclass(frozen=True)
class Figures:
    """From the first day to the last (of the site's zone). `decided_until`: later hours are not in the sums."""

    organisation: Organisation
    since: date
    until: date
    decided_until: datetime | None
    total: UsageSums
    days: tuple[tuple[date, UsageSums], ...]
    projects: tuple[SumsRow, ...]
    people: tuple[SumsRow, ...]
    outlooks: tuple[Outlook, ...]
    hints: Hints


def figures(user: Any, organisation: Organisation, since: date, until: date, now: datetime) -> Figures:
    """Of what this user may see of an organisation: ten queries, whatever it holds."""
    scope = Lease.objects.visible_to(user).filter(allocation__project__organisation=organisation)
    projects = rows_by("project", scope, since, until)
    return Figures(
        organisation=organisation,
        since=since,
        until=until,
        decided_until=usage.decided_until(),
        total=UsageSums.total(row.sums for row in projects),
        days=tuple(usage.daily(scope, since, until)),
        projects=projects,
        people=rows_by("person", scope, since, until),
        outlooks=tuple(_outlooks(user, organisation, now)),
        hints=hints(scope, begin_of(since), min(now, begin_of(until + timedelta(days=1)))),
    )


def _outlooks(user: Any, organisation: Organisation, now: datetime) -> Iterable[Outlook]:
    chosen = Allocation.objects.visible_to(user).filter(project__organisation=organisation).exclude(state__in=OVER)
    rows = list(chosen.select_related("project", "pool").order_by("valid_until", "pk"))
    found = outlooks(rows, now)
    return (Outlook(row, *found[row.pk]) for row in rows)


def bars(days: Iterable[tuple[date, UsageSums]], since: date, until: date) -> list[tuple[str, UsageSums]]:
    """A bar a day, or a month where there are too many days; what holds nothing is there with nothing."""
    daily = (until - since).days < MOST_DAYS
    found: dict[str, UsageSums] = {}
    if daily:
        found = {f"{since + timedelta(days=place):%Y-%m-%d}": UsageSums() for place in range((until - since).days + 1)}
    for day, sums in days:
        name = f"{day:%Y-%m-%d}" if daily else f"{day:%Y-%m}"
        found[name] = found.get(name, UsageSums()) + sums
    return list(found.items())


def picture(shown: list[tuple[str, UsageSums]]) -> dict[str, Any]:
    """Stacked bars of GPU-hours by class, for charts.js."""
    return {
        "unit": _("GPU-hours"),
        "labels": [name for name, _sums in shown],
        "series": [
            {
                "name": str(kind.label),
                "kind": "bar",
                "look": f"use_{kind.value}",
                "points": [round(getattr(sums, kind.field) / 3600, 1) for _name, sums in shown],
            }
            for kind in UsageClass
        ],
    }
