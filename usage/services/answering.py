"""What both sides say in a case: reply, appeal, the officer's answer, the stop."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from common.errors import RuleBroken, WrongState
from common.permissions import require
from partners.services.strangers import check_stranger
from usage.lifecycle import ANSWERABLE, IDLE_CASE
from usage.models import CaseStep, IdleCase
from usage.rules import may_answer_appeals, may_speak, may_stop_cases
from usage.services.case_steps import fall_due, lock_case, move, needed, note, tell_agency, tell_members

LONGEST_EXEMPTION_DAYS = 365
REPLIES_A_DAY = 20
"""Of a case: each goes to every officer by mail."""


@transaction.atomic
def reply(*, actor: Any, case: IdleCase, text: str) -> IdleCase:
    """A member says what is going on; the officers read it. The course goes on unless an officer stops it.

    WrongState (`too_many_replies`) after REPLIES_A_DAY of a case within a day.
    """
    case = lock_case(case.pk)
    require(actor, may_speak, case)
    _check_open(case)
    said = needed(text, "text")
    lately = timezone.now() - timedelta(days=1)
    if case.steps.filter(kind=CaseStep.Kind.REPLY, at__gt=lately).count() >= REPLIES_A_DAY:
        raise WrongState(
            _("%(count)s replies were sent about this case within a day.") % {"count": REPLIES_A_DAY},
            code="too_many_replies",
            remedy=_("The officers have them. Write again tomorrow, or appeal."),
            facts={"a_day": REPLIES_A_DAY},
        )
    note(case, CaseStep.Kind.REPLY, actor=actor, at=timezone.now(), text=said)
    changes = {"lease": case.lease.public_id, "text": said}
    audit.record(actor=actor, verb="idle_case.reply", target=case, changes=changes)
    tell_agency(case, "idle_reply", text=said)
    return case


@transaction.atomic
def appeal(*, actor: Any, case: IdleCase, reason: str) -> IdleCase:
    """A member asks, once, that nothing be taken, and why. Of an idle case it moves the day, so that an officer has
    the rule's time to answer; a breach's day stays, whatever is said.
    """
    case = lock_case(case.pk)
    require(actor, may_speak, case)
    if case.appealed_at is not None:
        raise WrongState(
            _("There was an appeal in this case already."),
            code="appealed_before",
            remedy=_("Reply instead; the officers read it."),
        )
    IDLE_CASE.next(case.state, "appeal")
    said, now = needed(reason, "reason"), timezone.now()
    case.appealed_at = now
    if case.rule is not None and case.due_at is not None:
        fall_due(case, max(case.due_at, now + timedelta(seconds=case.rule.answer_seconds)))
    fields = ("appealed_at", "due_at", "back_seconds")
    move(case, "appeal", actor=actor, at=now, step=CaseStep.Kind.APPEAL, text=said, fields=fields, due_at=case.due_at)
    tell_agency(case, "idle_appeal", text=said)
    return case


@transaction.atomic
def uphold(*, actor: Any, case: IdleCase, answer: str, days: int = 0) -> IdleCase:
    """An officer follows the appeal: the case is over, and the reservation is left alone for so many days."""
    case = lock_case(case.pk)
    require(actor, may_answer_appeals)
    check_stranger(actor, case.lease.allocation.project.organisation)
    _end_by_word(case, "uphold", CaseStep.Kind.UPHELD, actor, needed(answer, "answer"), days)
    return case


@transaction.atomic
def dismiss(*, actor: Any, case: IdleCase, answer: str) -> IdleCase:
    """An officer does not follow the appeal, and says why: the rule goes on, not sooner than its grace allows."""
    case = lock_case(case.pk)
    require(actor, may_answer_appeals)
    check_stranger(actor, case.lease.allocation.project.organisation)
    IDLE_CASE.next(case.state, "dismiss")
    said, now = needed(answer, "answer"), timezone.now()
    case.answered_at = now
    if case.rule is not None and case.noticed_at is not None:
        # What the appeal had put off is due again; a last hour is left to give the GPUs back by one's own hand.
        last = case.noticed_at + timedelta(seconds=case.rule.grace_seconds)
        fall_due(case, max(last, now + timedelta(hours=1)))
    fields = ("answered_at", "due_at", "back_seconds")
    move(
        case, "dismiss", actor=actor, at=now, step=CaseStep.Kind.DISMISSED, text=said, fields=fields, due_at=case.due_at
    )
    tell_members(case, "idle_dismissed", text=said)
    return case


@transaction.atomic
def stop(*, actor: Any, case: IdleCase, reason: str, days: int = 0) -> IdleCase:
    """An officer or operator stops the course for good; the reservation is left alone for so many days."""
    case = lock_case(case.pk)
    require(actor, may_stop_cases)
    check_stranger(actor, case.lease.allocation.project.organisation)
    _end_by_word(case, "stop", CaseStep.Kind.STOPPED, actor, needed(reason, "reason"), days)
    return case


def _end_by_word(case: IdleCase, event: str, step: str, actor: Any, said: str, days: int) -> None:
    IDLE_CASE.next(case.state, event)
    if not 0 <= days <= LONGEST_EXEMPTION_DAYS:
        raise RuleBroken(
            _("From 0 to %(most)s days.") % {"most": LONGEST_EXEMPTION_DAYS},
            code="days",
            remedy=_("Choose fewer days."),
            field="days",
        )
    now = timezone.now()
    case.ended_at = case.answered_at = now
    case.exempt_until = now + timedelta(days=days) if days else None
    fields = ("ended_at", "answered_at", "exempt_until")
    move(case, event, actor=actor, at=now, step=step, text=said, fields=fields, exempt_until=case.exempt_until)
    tell_members(case, "idle_stopped", text=said)


def _check_open(case: IdleCase) -> None:
    if case.state not in ANSWERABLE:
        raise WrongState(
            _("This case is over, or the GPUs are being taken back already."),
            code="case_over",
            remedy=_("Write to the agency if something is wrong."),
            facts={"state": case.state},
        )
