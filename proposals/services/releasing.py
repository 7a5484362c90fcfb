"""Releasing what was prepared, many at once: all of them or none.

All or none, because the partners of one round learn their result at the same moment, because the awards were weighed
against each other, and because nobody should have to find out afterwards which half of a list went out. What would
fail is seen before: `trial` is the very same run, undone at its end, so that it knows what the awards ahead in the list
take.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from allocations.services.retrying import in_one_transaction
from audit.services import record
from common.errors import DomainError, RuleBroken, WrongState
from common.permissions import require
from partners.models import Agreement
from proposals.lifecycle import PREPARED
from proposals.models import Decision, PreparedDecision, PreparedLine
from proposals.rules import may_decide
from proposals.services import awarding, outcomes, second
from proposals.services.deciding import lock
from proposals.services.preparing import OPEN, asks_of, lock_prepared
from proposals.services.promising import one_at_a_time

MOST_AT_ONCE = 600
"""A whole round; more is a slip of the pen."""


@dataclass(frozen=True)
class Outcome:
    """One of a trial: `error` is why it could not be released, None where it could."""

    prepared: PreparedDecision
    error: DomainError | None


def release(
    *, actor: Any, prepared: Iterable[PreparedDecision], seen: Mapping[str, int] | None = None
) -> list[Decision]:
    """Say all of these, or none. Whoever releases may be the one who prepared: the second person approved.

    `seen`: by public id the version that was looked at; WrongState where one has been changed since. Forbidden;
    RuleBroken and others as the decisions themselves, with the proposal's number in front.
    """
    require(actor, may_decide)
    rows = _bounded(prepared)
    return in_one_transaction(lambda: _release_all(actor, rows, seen or {}))


def trial(*, actor: Any, prepared: Iterable[PreparedDecision]) -> list[Outcome]:
    """What would come of a release now, one by one, the earlier ones taken as released. Nothing is kept or sent."""
    require(actor, may_decide)
    rows = _bounded(prepared)
    return in_one_transaction(lambda: _try_all(actor, rows))


def _bounded(prepared: Iterable[PreparedDecision]) -> list[PreparedDecision]:
    rows = sorted(prepared, key=lambda row: row.pk)
    if not rows:
        raise RuleBroken(
            _("Nothing is chosen."), remedy=_("Tick what is to be released."), code="nothing_chosen", field="prepared"
        )
    if len(rows) > MOST_AT_ONCE:
        raise RuleBroken(
            _("At most %(most)s decisions are released at once.") % {"most": MOST_AT_ONCE},
            remedy=_("Release them in parts."),
            code="too_many",
            field="prepared",
        )
    return rows


def _release_all(actor: Any, rows: list[PreparedDecision], seen: Mapping[str, int]) -> list[Decision]:
    _lock_in_order(rows)
    made = []
    for row in rows:
        try:
            made.append(_release(actor, row, seen.get(row.public_id)))
        except DomainError as error:
            error.message = _("Proposal %(number)s: %(message)s") % {
                "number": row.proposal.number,
                "message": error.message,
            }
            error.facts = {**error.facts, "prepared": row.public_id, "proposal": row.proposal.public_id}
            error.field = None
            raise
    return made


def _try_all(actor: Any, rows: list[PreparedDecision]) -> list[Outcome]:
    _lock_in_order(rows)
    found = [Outcome(row, _refusal(actor, row)) for row in rows]
    transaction.set_rollback(True)
    return found


def _refusal(actor: Any, row: PreparedDecision) -> DomainError | None:
    try:
        with transaction.atomic():
            _release(actor, row)
    except DomainError as error:
        return error
    return None


def _release(actor: Any, row: PreparedDecision, seen: int | None = None) -> Decision:
    proposal = lock(row.proposal)
    row = lock_prepared(row)
    if seen is not None and row.version != seen:
        raise WrongState(
            _("What is prepared has been changed since you looked at it."),
            remedy=_("Look at it again before it is released."),
            code="overtaken",
        )
    before = row.state
    row.state = PREPARED.next(row.state, "release")
    approved_by = row.approved_by
    said: dict[str, Any] = {"actor": actor, "proposal": proposal, "reason": row.reason}
    said |= {"decided_by": row.prepared_by, "approved_by": approved_by}
    if row.kind == PreparedDecision.Kind.AWARD:
        asks = asks_of(row)
        second.check_second(
            proposal.call, sum(a.gpu_seconds for a in asks), row.override_reason, approved=approved_by is not None
        )
        decision = awarding.give(lines=asks, override_reason=row.override_reason, **said)
    elif row.kind == PreparedDecision.Kind.DECLINE:
        decision = outcomes.turn_down(**said)
    else:
        decision = outcomes.put_on_hold(**said)
    row.decision = decision
    row.save(update_fields=["state", "decision"])
    changes = {"state": [before, row.state], "version": row.version, "prepared_by": row.prepared_by.email}
    record(actor=actor, verb="prepared.release", target=row, changes=changes)
    return decision


def _lock_in_order(rows: list[PreparedDecision]) -> None:
    """Agreements, then pools, each in the order of their keys: two releases wait for each other and never cross."""
    keys = [row.pk for row in rows if row.state in OPEN and row.kind == PreparedDecision.Kind.AWARD]
    agreements = Agreement.objects.select_for_update(no_key=True).order_by("pk")
    list(agreements.filter(pk__in={row.proposal.agreement_id for row in rows if row.pk in set(keys)}))
    lines = PreparedLine.objects.filter(prepared__in=keys).select_related("pool")
    one_at_a_time({line.pool for line in lines})
