"""The agency's verbs on a call: write it, publish it, keep it right without taking back what was announced."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.overtaken import SavedMeanwhile
from common.permissions import require
from common.texts import composed
from proposals.call_words import Gap, difference_of, missing_of
from proposals.models import Call, CallDocument
from proposals.rules import may_edit_call
from proposals.services.call_checks import check_draft, check_standing, cleaned
from proposals.services.call_rows import terms_of, write
from proposals.terms import CallTerms, StepTerms, mark_of, plain

__all__ = ["cancel_call", "copy_call", "create_call", "edit_call", "publish_call", "terms_of"]

UNPUBLISHED = ("draft", "announced")


@transaction.atomic
def create_call(*, actor: Any, title_ko: str, title_en: str) -> Call:
    """Begin a draft. Forbidden; RuleBroken without a title in both languages."""
    require(actor, may_edit_call)
    terms = cleaned(CallTerms(title_ko, title_en))
    call = Call.objects.create(title_ko=terms.title_ko, title_en=terms.title_en)
    record(actor=actor, verb="call.create", target=call, changes={"title_ko": terms.title_ko})
    return call


@transaction.atomic
def edit_call(
    *, actor: Any, call: Call, changes: dict[str, Any], opened_on: str = "", opened_parts: tuple[str, ...] = ()
) -> Call:
    """Change parts of a call, named as in CallTerms. A draft: all of it. An open one: words, a later cut-off, larger
    budgets, owners and deadlines of steps, the time line. One that is over: the last three.

    `opened_on`: mark_of `opened_parts` (those that are changed, unless said) when the form was opened. Forbidden;
    WrongState once cancelled or over; SavedMeanwhile; RuleBroken (field) where a value is wrong or an open call would
    take something back.
    """
    require(actor, may_edit_call)
    call = _lock(call)
    _check_not_cancelled(call)
    before, now = terms_of(call), timezone.now()
    new = cleaned(replace(before, **changes))
    parts = opened_parts or tuple(changes)
    if opened_on and opened_on != mark_of(before, parts):
        raise _changed(before, new, parts)
    if call.stage in UNPUBLISHED:
        check_draft(call, new, now)
    else:
        check_standing(call, before, new, now)
    if call.stage != "draft":
        _check_complete(new, call.published_at, missing_of(before, call.published_at))
    changed = {name for name in vars(new) if getattr(new, name) != getattr(before, name)}
    if changed:
        write(call, new, changed)
        said = {name: [plain(getattr(before, name)), plain(getattr(new, name))] for name in sorted(changed)}
        record(actor=actor, verb="call.edit", target=call, changes=said)
    return call


@transaction.atomic
def publish_call(*, actor: Any, call: Call, at: datetime | None = None) -> Call:
    """Show it to everybody, now or from a later moment on; one that is announced may be moved.

    Forbidden; WrongState where it was published or cancelled; RuleBroken naming what is missing.
    """
    require(actor, may_edit_call)
    call, now = _lock(call), timezone.now()
    _check_not_cancelled(call)
    if call.stage not in UNPUBLISHED:
        raise WrongState(_("This call is published already."), code="call_published")
    if at is not None and at < now:
        raise RuleBroken(
            _("A call cannot be published in the past."),
            code="published_too_early",
            remedy=_("Leave the moment empty to publish it now."),
            field="at",
        )
    before = call.published_at
    _check_complete(terms_of(call), at or now)
    call.published_at = at or now
    call.save(update_fields=["published_at"])
    record(actor=actor, verb="call.publish", target=call, changes={"published_at": [before, call.published_at]})
    return call


@transaction.atomic
def copy_call(*, actor: Any, call: Call) -> Call:
    """Last round's call as a new draft: everything but its dates and deadlines. Forbidden."""
    require(actor, may_edit_call)
    terms = terms_of(call)
    steps = tuple(StepTerms(step.kind, step.owner) for step in terms.steps)
    new = replace(terms, closes_at=None, dates=(), steps=steps)
    made = Call.objects.create(title_ko=new.title_ko, title_en=new.title_en, previous=call)
    write(made, new, set(vars(new)))
    CallDocument.objects.bulk_create(
        CallDocument(call=made, file=row.file.name, name=row.name, sha256=row.sha256) for row in call.documents.all()
    )
    record(actor=actor, verb="call.copy", target=made, changes={"from": call.public_id})
    return made


@transaction.atomic
def cancel_call(*, actor: Any, call: Call, reason: str = "") -> Call:
    """Nobody wants this draft any more; it stays for the record. Forbidden; WrongState once it was published."""
    require(actor, may_edit_call)
    call = _lock(call)
    check_cancellable(call)
    call.cancelled_at, call.published_at = timezone.now(), None
    call.cancel_reason = composed(reason).strip()
    call.save(update_fields=["cancelled_at", "published_at", "cancel_reason"])
    record(actor=actor, verb="call.cancel", target=call, changes={"reason": call.cancel_reason})
    return call


def check_cancellable(call: Call) -> None:
    """WrongState for a call that is cancelled already, or was published."""
    _check_not_cancelled(call)
    if call.stage not in UNPUBLISHED:
        raise WrongState(
            _("This call was published: it cannot be cancelled any more."),
            code="call_published",
            remedy=_("It ends at its cut-off; a rolling call can be given one."),
        )


def _lock(call: Call) -> Call:
    return Call.objects.select_for_update(no_key=True).get(pk=call.pk)


def _check_not_cancelled(call: Call) -> None:
    if call.cancelled_at:
        raise WrongState(
            _("This call was cancelled."), code="call_cancelled", remedy=_("Copy it to begin a new one from it.")
        )


def _check_complete(terms: CallTerms, published_at: datetime | None, known: Iterable[Gap] = ()) -> None:
    """RuleBroken where something is missing that was not `known` to be missing before."""
    missing = [gap for gap in missing_of(terms, published_at) if gap not in known]
    if missing:
        raise RuleBroken(
            _("This call is not complete: %(what)s") % {"what": " ".join(str(gap.message) for gap in missing)},
            code="call_incomplete",
            remedy=_("Complete it in the editor, then publish it."),
            field=missing[0].field,
            facts={"missing": [{"section": gap.section, "message": str(gap.message)} for gap in missing]},
        )


def _changed(before: CallTerms, new: CallTerms, names: tuple[str, ...]) -> SavedMeanwhile:
    differences = [difference_of(name, before, new) for name in names if getattr(before, name) != getattr(new, name)]
    return SavedMeanwhile(differences=differences, mark=mark_of(before, names))
