"""Sums of use with the names of what they belong to. Reads only: four queries and one for the names."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from accounts.models import User
from allocations.models import Allocation, Lease
from allocations.selectors import usage
from allocations.selectors.usage import UsageSums
from allocations.selectors.usage.adding import Dimension
from cluster.models import GpuClass, Pool
from common.moments import begin_of
from partners.models import Organisation
from projects.models import Project

_MODELS: dict[str, Any] = {
    "lease": Lease,
    "allocation": Allocation.objects.select_related("project", "pool"),
    "project": Project,
    "organisation": Organisation,
    "gpu_class": GpuClass,
    "pool": Pool,
    "person": User,
}


@dataclass(frozen=True)
class SumsRow:
    """One line: whose, where its page is, and the sums."""

    sums_of: str
    name: str
    url: str
    sums: UsageSums


@dataclass(frozen=True)
class UsageAnswer:
    """The lines, the most held first, and all of them together. `decided_until`: later hours are not in them."""

    by: str
    since: date
    until: date
    decided_until: datetime | None
    rows: tuple[SumsRow, ...]
    total: UsageSums


def usage_by(user: Any, by: str, since: date, until: date) -> UsageAnswer:
    """What was made of what this user may see, from the first day to the last (of the site's zone)."""
    rows = rows_by(by, Lease.objects.visible_to(user), since, until)
    return UsageAnswer(by, since, until, usage.decided_until(), rows, UsageSums.total(row.sums for row in rows))


def rows_by(by: str, scope: QuerySet[Lease], since: date, until: date) -> tuple[SumsRow, ...]:
    """The lines of these reservations, the most held first: one query for whole days, one for the names."""
    dimension = cast(Dimension, "project" if by == "call" else by)
    found = usage.sums_by(dimension, scope, begin_of(since), begin_of(until + timedelta(days=1)))
    model = _MODELS[dimension]
    named = (model.objects if hasattr(model, "objects") else model).in_bulk(found.keys())
    parts = [(named[key], sums) for key, sums in found.items() if sums]
    rows = _by_call(parts) if by == "call" else [_row(by, thing, sums) for thing, sums in parts]
    return tuple(sorted(rows, key=lambda row: (-row.sums.held_seconds, row.name)))


def _by_call(parts: list[tuple[Project, UsageSums]]) -> list[SumsRow]:
    """Projects put together by the call that their proposals answered; those of no call under a dash."""
    calls = import_string(settings.CALLS_OF_PROPOSALS)([project.proposal_ref for project, _sums in parts])
    rows: dict[str, SumsRow] = {}
    for project, sums in parts:
        ref, name, url = calls.get(project.proposal_ref, ("", "–", ""))
        so_far = rows[ref].sums if ref in rows else UsageSums()
        rows[ref] = SumsRow(ref, name, url, so_far + sums)
    return list(rows.values())


def _row(by: str, thing: Any, sums: UsageSums) -> SumsRow:
    key = thing.code if by == "gpu_class" else thing.public_id
    linked = by in ("lease", "allocation", "project", "organisation")
    name = thing.title if by == "project" else str(thing)
    return SumsRow(key, name, thing.get_absolute_url() if linked else "", sums)
