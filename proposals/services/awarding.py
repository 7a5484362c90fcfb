"""Awarding: the ask, the agreement, the pools and the two people are asked, then all of it is written."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.moments import agency_day
from common.quantities import seconds_to_hours
from partners.models import Agreement
from proposals.awards import AwardAsk
from proposals.models import AwardLine, Decision, Proposal, RequestLine
from proposals.selectors import committed, judge, window_of
from proposals.services import letters, promising, second
from proposals.services.budgets import check_budgets
from proposals.services.deciding import bounded, move, needed, person, tell_partner, written
from proposals.services.drafting import on_line
from proposals.services.readiness import check_ready


def give(
    *,
    actor: Any,
    proposal: Proposal,
    lines: list[AwardAsk],
    reason: str,
    override_reason: str = "",
    decided_by: Any = None,
    approved_by: Any = None,
) -> Decision:
    """Award these lines. The caller answers for the permission, the transaction and its retries.

    InvalidTransition; RuleBroken (field `lines.N.<field>`) as `decisions.award` says. `decided_by` is whoever prepared
    it (else the actor), `approved_by` the second person, where there was one. An `override_reason` lets the pools'
    bounds be passed by as much as the settings allow.
    """
    check_ready(proposal)
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=proposal.agreement_id)
    asked = {line.pk: line for line in proposal.lines.all()}
    check_shape(asked, lines)
    less = is_less(asked, lines)
    reason = (
        needed(reason, _("Less is awarded than was asked for, so a reason is needed.")) if less else bounded(reason)
    )
    gpu_seconds = sum(ask.gpu_seconds for ask in lines)
    second.check_second(proposal.call, gpu_seconds, override_reason, approved=approved_by is not None)
    _check_agreement(agreement, proposal, lines)
    held = promising.promise(actor=actor, proposal=proposal, lines=lines, override_reason=override_reason)
    check_budgets(proposal, lines)  # after the promise, whose lock lets one award after the other ask
    guaranteed = [envelope.gpus if envelope else 0 for envelope in held]
    said = {
        "reason": reason,
        "lines": [ask.logged | {"guaranteed_gpus": kept} for ask, kept in zip(lines, guaranteed, strict=True)],
    }
    if override_reason:
        said["override_reason"] = override_reason
    if approved_by is not None:
        said["approved_by"] = approved_by.email
    proposal = move(actor, proposal, "award", said)
    decision = written(
        decided_by or actor,
        proposal,
        Decision.Kind.AWARD,
        reason,
        approved_by=approved_by,
        released_by=person(actor) if decided_by else None,
        override_reason=override_reason,
        answer_by=answer_by(proposal, lines, timezone.now()),
    )
    _write_lines(decision, lines, held, guaranteed)
    letter = letters.send(decision=decision, kind=letters.kind_of_award(less), awards=lines)
    _tell(proposal, decision, asked, lines, letter.get_absolute_url())
    return decision


def answer_by(proposal: Proposal, lines: list[AwardAsk], now: datetime) -> datetime:
    """Until when the partner answers: the end of the call's last day for it, never after all windows are over."""
    zone = timezone.get_default_timezone()
    last = agency_day(now) + timedelta(days=proposal.call.answer_days + 1)
    end = datetime(last.year, last.month, last.day, tzinfo=zone)
    return min(end, max(ask.window_until for ask in lines))


def _write_lines(decision: Decision, lines: list[AwardAsk], held: list[Any], guaranteed: list[int]) -> None:
    AwardLine.objects.bulk_create(
        AwardLine(
            decision=decision,
            **ask.columns,
            guaranteed_gpus=kept,
            envelope_ref=envelope.public_id if envelope else "",
        )
        for ask, envelope, kept in zip(lines, held, guaranteed, strict=True)
    )


def check_as_things_stand(proposal: Proposal, lines: list[AwardAsk], override_reason: str) -> None:
    """The refusal of agreement, pools or budget that these lines would meet if they were awarded now, nothing written.

    Not asked: whether the proposal was heard, and by how many officers it is decided.
    """
    _check_agreement(proposal.agreement, proposal, lines)
    promising.check(proposal=proposal, lines=lines, override_reason=override_reason)
    check_budgets(proposal, lines)


def _check_agreement(agreement: Agreement, proposal: Proposal, lines: list[AwardAsk]) -> None:
    seconds = [ask.gpu_seconds for ask in lines]
    used = committed(agreement, but=proposal)
    verdicts = judge(agreement, [ask.as_line for ask in lines], used, seconds=seconds)
    for place, (_used, refusal) in enumerate(verdicts):
        if refusal:
            raise on_line(refusal, place)


def check_shape(asked: dict[int, RequestLine], lines: list[AwardAsk]) -> None:
    """RuleBroken where the lines do not fit what was asked, looked at by themselves."""
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


def is_less(asked: dict[int, RequestLine], lines: list[AwardAsk]) -> bool:
    """Whether less is given than was asked for."""
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


def _tell(
    proposal: Proposal, decision: Decision, asked: dict[int, RequestLine], lines: list[AwardAsk], url: str
) -> None:
    tell_partner(
        proposal,
        "proposal_awarded",
        url=url,
        reason=decision.reason,
        asked_gpus=sum(line.gpus for line in asked.values()),
        awarded_gpus=sum(ask.gpus for ask in lines),
        asked_hours=seconds_to_hours(sum(line.gpu_seconds for line in asked.values())),
        awarded_hours=seconds_to_hours(sum(ask.gpu_seconds for ask in lines)),
        answer_by=decision.answer_by,
    )
