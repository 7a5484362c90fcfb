"""No more is awarded on a pool than the call has announced for it."""

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from cluster.models import Pool
from common.errors import RuleBroken
from common.quantities import seconds_to_hours
from proposals.awards import AwardAsk
from proposals.models import Call, CallPool, Proposal
from proposals.selectors.budgets import awarded_of
from proposals.services.parts import on_line


def check_budgets(proposal: Proposal, lines: list[AwardAsk]) -> None:
    """check_budget of a whole award, line by line: RuleBroken on `lines.N.gpu_hours`."""
    spent: dict[int, int] = {}
    for place, ask in enumerate(lines):
        spent[ask.pool.pk] = spent.get(ask.pool.pk, 0) + ask.gpu_seconds
        try:
            check_budget(proposal.call, ask.pool, spent[ask.pool.pk], but=proposal)
        except RuleBroken as error:
            raise on_line(error, place) from None


def check_budget(call: Call, pool: Pool, seconds: int, *, but: Proposal | None = None) -> None:
    """RuleBroken where `seconds` more on the pool pass what the call has for it; `but`: the proposal that is decided.

    Two queries. Awards on one pool are to be asked about one after the other (services/promising.py holds the lock).
    """
    offer = CallPool.objects.filter(call=call, pool=pool).first()
    if offer is None or offer.budget_gpu_seconds is None:
        return
    used, budget = awarded_of(call, pool, but=but), offer.budget_gpu_seconds
    left = max(0, budget - used)
    if seconds > left:
        raise RuleBroken(
            _(
                "The call has %(budget)s GPU-hours for %(pool)s. %(used)s are awarded already, and this would be "
                "%(asked)s more."
            )
            % {"budget": _hours(budget), "pool": pool.name, "used": _hours(used), "asked": _hours(seconds)},
            code="budget_passed",
            remedy=_("Award at most %(left)s GPU-hours of it, or raise the budget of the call.")
            % {"left": _hours(left)},
            field="gpu_hours",
            facts={
                "rule": "budget",
                "ceiling": str(seconds_to_hours(budget)),
                "used": str(seconds_to_hours(used)),
                "asked": str(seconds_to_hours(seconds)),
                "left": str(seconds_to_hours(left)),
            },
        )


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)
