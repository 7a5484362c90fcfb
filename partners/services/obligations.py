"""What a partner owes: written down by officers, reported done by the partner, reminded of by the clock."""

from datetime import date
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.errors import RuleBroken, WrongState
from common.moments import agency_today
from common.permissions import require
from notifications.services import notify
from partners.models import Agreement, Obligation
from partners.rules import may_manage
from partners.selectors import managers_of, officers

REMIND = (14, 3)
"""Days before the day on which it is due; a last reminder goes out on the day after."""
OVERDUE = -1
MOST = 100


@transaction.atomic
def add_obligation(*, actor: Any, agreement: Agreement, kind: str, text: str, due_on: date | None) -> Obligation:
    """Write down what is owed. Forbidden; RuleBroken for a day outside of reason, or past a hundred of them."""
    require(actor, may_run_programme)
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=agreement.pk)
    if agreement.obligations.count() >= MOST:
        raise RuleBroken(_("A hundred obligations are written down already."), code="too_many_obligations")
    obligation = Obligation(agreement=agreement)
    changes = _write(obligation, kind, text, due_on)
    record(actor=actor, verb="obligation.add", target=agreement, changes=changes)
    return obligation


@transaction.atomic
def edit_obligation(*, actor: Any, obligation: Obligation, kind: str, text: str, due_on: date | None) -> Obligation:
    """Put it right; a new day is reminded of anew. Forbidden, RuleBroken, WrongState once it is done."""
    require(actor, may_run_programme)
    obligation = _lock(obligation)
    if obligation.done_on:
        raise WrongState(_("This has been done."), remedy=_("Open it again first."))
    if obligation.due_on != due_on:
        obligation.reminded_step = None
    changes = _write(obligation, kind, text, due_on)
    record(actor=actor, verb="obligation.edit", target=obligation.agreement, changes=changes)
    return obligation


@transaction.atomic
def remove_obligation(*, actor: Any, obligation: Obligation) -> Agreement:
    """It was written down by mistake. Forbidden."""
    require(actor, may_run_programme)
    obligation = _lock(obligation)
    changes = {"obligation": obligation.public_id, "text": obligation.text}
    obligation.delete()
    record(actor=actor, verb="obligation.remove", target=obligation.agreement, changes=changes)
    return obligation.agreement


@transaction.atomic
def fulfil(*, actor: Any, obligation: Obligation, done_on: date, note: str = "") -> Obligation:
    """Say that it was done, and how. Managers of the partner and officers; WrongState where it is done already."""
    require(actor, may_manage | may_run_programme, obligation.agreement.organisation)
    obligation = _lock(obligation)
    if obligation.done_on:
        raise WrongState(_("This has been done."))
    if done_on > agency_today():
        raise RuleBroken(_("This day has not come yet."), code="done_in_future", field="done_on")
    obligation.done_on, obligation.done_note = done_on, note.strip()
    obligation.done_by = actor if isinstance(actor, User) else None
    obligation.save(update_fields=["done_on", "done_note", "done_by"])
    changes = {"obligation": obligation.public_id, "done_on": done_on, "note": obligation.done_note}
    record(actor=actor, verb="obligation.fulfil", target=obligation.agreement, changes=changes)
    _tell(obligation, "obligation_done", [one for one in officers() if one != actor], days=0)
    return obligation


@transaction.atomic
def reopen(*, actor: Any, obligation: Obligation) -> Obligation:
    """It was not done after all. Forbidden; WrongState where it is open."""
    require(actor, may_run_programme)
    obligation = _lock(obligation)
    if not obligation.done_on:
        raise WrongState(_("This is open already."))
    obligation.done_on, obligation.done_note, obligation.done_by = None, "", None
    obligation.save(update_fields=["done_on", "done_note", "done_by"])
    changes = {"obligation": obligation.public_id}
    record(actor=actor, verb="obligation.reopen", target=obligation.agreement, changes=changes)
    return obligation


def remind_due(*, today: date) -> int:
    """Remind of what is due in fourteen or three days, or is overdue: once each; how many reminders went out."""
    rows = Obligation.objects.filter(
        agreement__state__in=("active", "suspended", "lapsed", "terminated"), done_on=None, due_on__isnull=False
    )
    near = [
        pk
        for pk, due, told in rows.order_by("pk").values_list("pk", "due_on", "reminded_step")
        if due and (step := _step((due - today).days)) is not None and (told is None or step < told)
    ]
    return sum(_remind(pk, today) for pk in near)


@transaction.atomic
def _remind(pk: int, today: date) -> int:
    rows = Obligation.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    obligation = rows.select_related("agreement__organisation").filter(pk=pk, done_on=None).first()
    if obligation is None or obligation.due_on is None:
        return 0
    days = (obligation.due_on - today).days
    step = _step(days)
    if step is None or (obligation.reminded_step is not None and step >= obligation.reminded_step):
        return 0
    obligation.reminded_step = step
    obligation.save(update_fields=["reminded_step"])
    people = list(managers_of(obligation.agreement.organisation))
    if step == OVERDUE:
        _tell(obligation, "obligation_overdue", [*people, *officers()], days=-days)
    else:
        _tell(obligation, "obligation_due", people, days=days)
    return 1


def _step(days: int) -> int | None:
    """The nearest step that has come."""
    if days < 0:
        return OVERDUE
    return min((step for step in REMIND if days <= step), default=None)


def _write(obligation: Obligation, kind: str, text: str, due_on: date | None) -> dict[str, Any]:
    if kind not in Obligation.Kind.values:
        raise RuleBroken(_("This is not a kind of obligation."), code="unknown_kind", field="kind")
    if not text.strip():
        raise RuleBroken(_("Say what is owed."), code="text_missing", field="text")
    if kind == Obligation.Kind.REPORT and due_on is None:
        raise RuleBroken(_("A report is due on a day."), code="due_missing", field="due_on")
    if due_on is not None and due_on < obligation.agreement.valid_from:
        raise RuleBroken(
            _("This day lies before the agreement's term."),
            code="due_before_term",
            remedy=_("It begins on %(day)s.") % {"day": obligation.agreement.valid_from.isoformat()},
            field="due_on",
        )
    obligation.kind, obligation.text, obligation.due_on = kind, text.strip(), due_on
    obligation.save()
    return {"obligation": obligation.public_id, "kind": kind, "text": obligation.text, "due_on": due_on}


def _lock(obligation: Obligation) -> Obligation:
    rows = Obligation.objects.select_for_update(of=("self",), no_key=True).select_related("agreement__organisation")
    return rows.get(pk=obligation.pk)


def _tell(obligation: Obligation, event: str, people: Any, *, days: int) -> None:
    notify(
        recipients=people,
        event=event,
        context={
            "number": obligation.agreement.number,
            "organisation": obligation.agreement.organisation.lazy_name,
            "text": obligation.text,
            "due_on": obligation.due_on.isoformat() if obligation.due_on else "",
            "note": obligation.done_note,
            "days": days,
        },
        url=obligation.agreement.get_absolute_url(),
    )
