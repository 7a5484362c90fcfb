"""The allocations that somebody may book of, and those of which an agreement lets nothing be booked. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from allocations.lifecycle import BOOKABLE
from allocations.models import Allocation
from allocations.selectors.rulebooks import with_rules
from common.moments import agency_today
from partners.models import Agreement, organisation_ids_of
from partners.policy import Answer, Wish, check_active, in_force, may


def bookable_allocations(user: Any) -> Any:
    """Allocations that can be booked of and that somebody may see, with what an answer needs of them."""
    rows = with_rules(Allocation.objects.visible_to(user).filter(state__in=BOOKABLE))
    return rows.select_related("project__organisation", "project__agreement", "pool__gpu_class", "envelope").order_by(
        "pk"
    )


def own_allocations(user: Any) -> Any:
    """Those of somebody's own organisations that can be booked of: nobody books for others, also not the agency."""
    mine = Allocation.objects.filter(project__organisation_id__in=organisation_ids_of(user), state__in=BOOKABLE)
    return mine.select_related("project__organisation", "project__agreement", "pool").order_by("pk")


@dataclass(frozen=True)
class Barred:
    """An allocation of which the agreement lets nothing be booked on a day, and why, in words."""

    allocation: Allocation
    reason: str


def stopped_of(allocations: Iterable[Allocation]) -> list[Answer]:
    """Of the agreements of these allocations those that are not in force, each once: nothing can be booked under them
    whatever is asked. No query where the agreements were fetched along.
    """
    answers = [in_force(agreement) for agreement in _agreements_of(allocations)]
    return [answer for answer in answers if not answer.allowed]


def check_any_in_force(allocations: Iterable[Allocation]) -> None:
    """RuleBroken (`agreement_not_active`) where all of these allocations lie under agreements that are not in force."""
    agreements = _agreements_of(allocations)
    if agreements and all(agreement.state != "active" for agreement in agreements):
        check_active(agreements[0], agency_today())


def _agreements_of(allocations: Iterable[Allocation]) -> list[Agreement]:
    """Each once, in the order in which they come."""
    return list({row.project.agreement_id: row.project.agreement for row in allocations}.values())


def barred_of(allocations: Iterable[Allocation], day: date) -> list[Barred]:
    """Those of these allocations of which nothing may be booked on that day as their agreements stand."""
    rows = []
    for allocation in allocations:
        wish = Wish("book", day, day, pool=allocation.pool.public_id)
        answer = may([allocation.project.agreement], wish, {})
        if not answer.allowed:
            rows.append(Barred(allocation, f"{answer.reason} {answer.allowed_instead}".strip()))
    return rows
