"""The agency's verbs: review, return, decline, award. The partner's answers are in answers.py, re-exported here."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from allocations.services.retrying import in_one_transaction
from audit.services import record
from common.errors import RuleBroken
from common.permissions import require
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.models import Agreement
from partners.selectors import managers_of
from proposals.awards import AwardAsk
from proposals.lifecycle import PROPOSAL
from proposals.models import AwardLine, Decision, Proposal, RequestLine
from proposals.rules import may_decide
from proposals.selectors import committed, judge, window_of
from proposals.services import promising
from proposals.services.answers import accept, refuse
from proposals.services.drafting import on_line, told

__all__ = ["AwardAsk", "accept", "award", "decline", "refuse", "return_for_changes", "start_review"]


@transaction.atomic
def start_review(*, actor: Any, proposal: Proposal) -> Proposal:
    """Take it from the queue to look at it. Forbidden, InvalidTransition."""
    require(actor, may_decide)
    proposal = _move(actor, proposal, "start_review", {})
    _tell_partner(proposal, "proposal_in_review")
    return proposal


@transaction.atomic
def return_for_changes(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Send it back to be changed and submitted again. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_decide)
    reason = needed(reason)
    proposal = _move(actor, proposal, "return", {"reason": reason})
    Decision.objects.create(proposal=proposal, kind=Decision.Kind.RETURN, reason=reason, decided_by=actor)
    _tell_partner(proposal, "proposal_returned", reason=reason)
    return proposal


@transaction.atomic
def decline(*, actor: Any, proposal: Proposal, reason: str) -> Proposal:
    """Refuse it. Forbidden, InvalidTransition, RuleBroken without a reason."""
    require(actor, may_decide)
    reason = needed(reason)
    proposal = _move(actor, proposal, "decline", {"reason": reason})
    Decision.objects.create(proposal=proposal, kind=Decision.Kind.DECLINE, reason=reason, decided_by=actor)
    _tell_partner(proposal, "proposal_declined", reason=reason)
    return proposal


def award(*, actor: Any, proposal: Proposal, lines: list[AwardAsk], reason: str = "") -> Proposal:
    """Award some or all of what was asked; a line that is not in `lines` gets nothing.

    Forbidden; InvalidTransition; RuleBroken (field `lines.N.<field>`) past the ask, the pool, its bound of
    over-commitment, what can be guaranteed, the window or a ceiling of the agreement; a reason is needed where less is
    awarded than asked.
    """
    require(actor, may_decide)
    return in_one_transaction(lambda: _award(actor, proposal, lines, reason))


def _award(actor: Any, proposal: Proposal, lines: list[AwardAsk], reason: str) -> Proposal:
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=proposal.agreement_id)
    asked = {line.pk: line for line in proposal.lines.all()}
    _check_shape(asked, lines)
    if _is_less(asked, lines):
        reason = needed(reason, _("Less is awarded than was asked for, so a reason is needed."))
    used = committed(agreement, but=proposal)
    verdicts = judge(agreement, [ask.as_line for ask in lines], used, seconds=[ask.gpu_seconds for ask in lines])
    for place, (_used, refusal) in enumerate(verdicts):
        if refusal:
            raise on_line(refusal, place)
    held = promising.promise(actor=actor, proposal=proposal, lines=lines)
    guaranteed = [envelope.gpus if envelope else 0 for envelope in held]
    given = [
        {"line": a.request_line.pk, "pool": a.pool.name, "gpus": a.gpus, "guaranteed_gpus": kept}
        | {"gpu_seconds": a.gpu_seconds}
        for a, kept in zip(lines, guaranteed, strict=True)
    ]
    proposal = _move(actor, proposal, "award", {"reason": reason, "lines": given})
    decision = Decision.objects.create(proposal=proposal, kind=Decision.Kind.AWARD, reason=reason, decided_by=actor)
    AwardLine.objects.bulk_create(
        AwardLine(
            decision=decision,
            request=ask.request_line,
            pool=ask.pool,
            gpus=ask.gpus,
            gpu_seconds=ask.gpu_seconds,
            window_from=ask.window_from,
            window_until=ask.window_until,
            guaranteed_gpus=kept,
            envelope_ref=envelope.public_id if envelope else "",
        )
        for ask, envelope, kept in zip(lines, held, guaranteed, strict=True)
    )
    _tell_award(proposal, asked, lines, reason)
    return proposal


def needed(reason: str, message: str = "") -> str:
    """The reason without surrounding blanks; RuleBroken where there is none."""
    if not reason.strip():
        raise RuleBroken(
            message or _("A reason is needed."),
            remedy=_("The partner reads it, so say what decided it."),
            code="reason_needed",
            field="reason",
        )
    return reason.strip()


def _move(actor: Any, proposal: Proposal, event: str, changes: dict[str, Any]) -> Proposal:
    proposal = (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "agreement")
        .get(pk=proposal.pk)
    )
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, event)
    proposal.save(update_fields=["state"])
    record(
        actor=actor, verb=f"proposal.{event}", target=proposal, changes={"state": [before, proposal.state], **changes}
    )
    return proposal


def _check_shape(asked: dict[int, RequestLine], lines: list[AwardAsk]) -> None:
    if not lines:
        raise RuleBroken(
            _("Nothing is awarded on any line."),
            remedy=_("Decline the proposal instead, with a reason."),
            code="empty_award",
        )
    seen: set[int] = set()
    for place, ask in enumerate(lines):
        line = asked.get(ask.request_line.pk)
        if line is None or line.pk in seen:
            raise RuleBroken(_("This request line does not belong to the proposal."), code="foreign_line")
        seen.add(line.pk)
        error = _misfit(ask, line)
        if error:
            raise on_line(error, place)


def _misfit(ask: AwardAsk, line: RequestLine) -> RuleBroken | None:
    """What is wrong with an award line, looked at beside its request line alone."""
    window_seconds = int((ask.window_until - ask.window_from).total_seconds())
    if ask.pool.gpu_class_id != line.gpu_class_id:
        return RuleBroken(_("This pool has GPUs of another class."), code="other_class", field="pool")
    if not 0 < ask.gpus <= line.gpus:
        return RuleBroken(
            _("An award lies between 1 and the %(asked)s GPUs that were asked for.") % {"asked": line.gpus},
            code="past_ask",
            field="gpus",
        )
    if not 0 < ask.gpu_seconds <= line.gpu_seconds:
        asked = number_format(seconds_to_hours(line.gpu_seconds), 2, force_grouping=True)
        return RuleBroken(
            _("An award lies above 0 and within the %(asked)s GPU-hours that were asked for.") % {"asked": asked},
            code="past_ask",
            field="gpu_hours",
        )
    if window_seconds <= 0:
        return RuleBroken(_("The window ends before it begins."), code="window_order", field="window_until")
    if ask.window_until <= timezone.now():
        return RuleBroken(_("This window is over already."), code="past_day", field="window_until")
    if ask.gpu_seconds > ask.gpus * window_seconds:
        fit = number_format(seconds_to_hours(ask.gpus * window_seconds), 2, force_grouping=True)
        return RuleBroken(
            _("So many GPU-hours do not fit: %(gpus)s GPUs run for at most %(fit)s GPU-hours in this window.")
            % {"gpus": ask.gpus, "fit": fit},
            remedy=_("Award fewer GPU-hours, more GPUs or a longer window."),
            code="hours_exceed_window",
            field="gpu_hours",
        )
    return None


def _is_less(asked: dict[int, RequestLine], lines: list[AwardAsk]) -> bool:
    if len(lines) < len(asked):
        return True
    for ask in lines:
        line = asked[ask.request_line.pk]
        first, last = window_of(line.window_from, line.window_until)
        if ask.gpus < line.gpus or ask.gpu_seconds < line.gpu_seconds:
            return True
        if ask.window_from > max(first, timezone.now()) or ask.window_until < last:
            return True
    return False


def _tell_partner(proposal: Proposal, event: str, **more: Any) -> None:
    recipients = [*managers_of(proposal.organisation), proposal.created_by]
    notify(recipients=recipients, event=event, context=told(proposal, **more), url=proposal.get_absolute_url())


def _tell_award(proposal: Proposal, asked: dict[int, RequestLine], lines: list[AwardAsk], reason: str) -> None:
    _tell_partner(
        proposal,
        "proposal_awarded",
        reason=reason,
        asked_gpus=sum(line.gpus for line in asked.values()),
        awarded_gpus=sum(ask.gpus for ask in lines),
        asked_hours=seconds_to_hours(sum(line.gpu_seconds for line in asked.values())),
        awarded_hours=seconds_to_hours(sum(ask.gpu_seconds for ask in lines)),
    )
