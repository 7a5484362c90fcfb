"""The ceiling that an agreement has for a calendar year, asked about reservations."""

from datetime import datetime
from fractions import Fraction

from allocations.charging import WHOLE, Weights
from allocations.models import Allocation, Lease
from allocations.selectors.yearly import asked_by_year, held_by_year
from partners.policy import check_booked_hours


def year_allows(
    allocation: Allocation,
    device_count: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    weights: Weights = (),
    share: Fraction = WHOLE,
    but: Lease | None = None,
) -> None:
    """RuleBroken past the agreement's ceiling of a calendar year: one query where there is one, none else.

    `but` is the lease that is changed: its whole window is asked about anew. The agreement is locked.
    """
    agreement = allocation.project.agreement
    if agreement.ceiling_gpu_seconds_a_year is None:
        return
    asked = asked_by_year(device_count, starts_at, ends_at, weights, share)
    if but is not None:  # where it takes no more than before it is nobody's business how much that was
        own = asked_by_year(but.device_count, but.starts_at, but.ends_at, but.prices, but.share)
        asked = {year: seconds for year, seconds in asked.items() if seconds > own.get(year, 0)}
    if asked:
        check_booked_hours(agreement, asked, held_by_year(agreement.pk, asked, but=but))
