"""Changing an agreement that is in force: drafted, signed by both sides, in force from its day on."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.actors import SystemActor
from common.errors import RuleBroken, WrongState
from common.moments import agency_today
from common.permissions import require
from notifications.services import notify
from partners.figures import committed
from partners.lifecycle import AMENDMENT
from partners.models import Agreement, Amendment
from partners.selectors import managers_of, officers
from partners.services import signing
from partners.services.documents import attach, check_document
from partners.services.strangers import check_stranger
from partners.services.term_checks import check_no_overlap, check_promised, check_terms
from partners.terms import AMENDABLE, AgreementTerms, plain, terms_of, typed

AMENDED = ("active", "suspended")
CLOCK = SystemActor("clock")


@dataclass(frozen=True)
class AmendmentDraft:
    """What an amendment says: the whole of the terms as they are to be, why, and from which day on."""

    terms: AgreementTerms
    reason: str
    effective_from: date


@transaction.atomic
def draft_amendment(
    *, actor: Any, agreement: Agreement, draft: AmendmentDraft, document: UploadedFile | None = None
) -> Amendment:
    """Write down what is to change. Forbidden; WrongState unless the agreement is in force or suspended, or while
    another amendment is open; RuleBroken where nothing changes, or less is allowed than is promised.
    """
    require(actor, may_run_programme)
    agreement = _lock(agreement.pk)
    _check_amendable(agreement)
    amendment = Amendment(
        agreement=agreement,
        number=agreement.amendments.count() + 1,
        drafted_by=actor if isinstance(actor, User) else None,
    )
    changes = _write(agreement, amendment, draft, document)
    amendment.save()
    record(actor=actor, verb="amendment.draft", target=amendment, changes=changes)
    return amendment


@transaction.atomic
def edit_amendment(
    *, actor: Any, amendment: Amendment, draft: AmendmentDraft, document: UploadedFile | None = None
) -> Amendment:
    """Change a draft; signatures under it are void then. Forbidden, WrongState, RuleBroken."""
    require(actor, may_run_programme)
    locked = signing.lock_draft(amendment)
    assert isinstance(locked, Amendment)
    changes = _write(locked.agreement, locked, draft, document)
    locked.save()
    record(actor=actor, verb="amendment.edit", target=locked, changes=changes)
    signing.void_signatures(actor, locked)
    return locked


@transaction.atomic
def attach_document(*, actor: Any, amendment: Amendment, document: UploadedFile) -> Amendment:
    """Put the document to a draft, or replace it. Forbidden; WrongState; RuleBroken for what is no PDF."""
    require(actor, may_run_programme)
    locked = signing.lock_draft(amendment)
    assert isinstance(locked, Amendment)
    changes = signing.replace_document(actor, locked, document)
    record(actor=actor, verb="amendment.attach_document", target=locked, changes=changes)
    return locked


@transaction.atomic
def agree(*, actor: Any, amendment: Amendment) -> Amendment:
    """Both sides have signed: it takes effect on its day, at once where that has come.

    Forbidden; WrongState; RuleBroken unless both have signed, or (on its day) where less is allowed than is promised.
    """
    require(actor, may_run_programme)
    locked = signing.lock_draft(amendment)
    assert isinstance(locked, Amendment)
    check_stranger(actor, locked.agreement.organisation)
    _check_amendable(locked.agreement, but=locked)
    signing.check_signed(locked)
    _move(actor, locked, "agree")
    if locked.effective_from <= agency_today():
        return _take_effect(actor, locked)
    return locked


@transaction.atomic
def withdraw(*, actor: Any, amendment: Amendment) -> Amendment:
    """It will not take effect. Forbidden; InvalidTransition once it is in force."""
    require(actor, may_run_programme)
    agreement = _lock(amendment.agreement_id)
    amendment = Amendment.objects.select_for_update(no_key=True).get(pk=amendment.pk)
    amendment.agreement = agreement
    return _move(actor, amendment, "withdraw")


def apply_due(*, today: date) -> int:
    """Amendments whose day has come take effect, one transaction each; how many did.

    One that may not any more, because more has been promised meanwhile, is held, and the officers are told once.
    """
    due = Amendment.objects.filter(state="agreed", effective_from__lte=today).order_by("effective_from", "pk")
    return sum(_apply(pk) for pk in list(due.values_list("pk", flat=True)))


@transaction.atomic
def _apply(pk: int) -> int:
    agreement = _lock(Amendment.objects.values_list("agreement_id", flat=True).get(pk=pk))
    amendment = Amendment.objects.select_for_update(no_key=True).get(pk=pk)
    amendment.agreement = agreement
    if amendment.state != "agreed":
        return 0
    try:
        with transaction.atomic():
            _take_effect(CLOCK, amendment)
    except (RuleBroken, WrongState) as error:
        _hold(amendment, str(error))
        return 0
    return 1


def _take_effect(actor: Any, amendment: Amendment) -> Amendment:
    agreement = amendment.agreement
    _check_amendable(agreement, but=amendment)
    after = {name: typed(name, value) for name, (_before, value) in amendment.changes.items()}
    terms = AgreementTerms(**{**terms_of(agreement).as_dict(), **after})
    _check(agreement, terms, after)
    for name, value in after.items():
        setattr(agreement, name, value)
    agreement.version += 1
    agreement.save(update_fields=[*after, "version"])
    amendment.version, amendment.held_reason = agreement.version, ""
    amendment.save(update_fields=["version", "held_reason"])
    record(
        actor=actor,
        verb="agreement.amend",
        target=agreement,
        changes={**amendment.changes, "version": agreement.version, "amendment": amendment.public_id},
    )
    return _move(actor, amendment, "take_effect")


def _write(
    agreement: Agreement, amendment: Amendment, draft: AmendmentDraft, document: UploadedFile | None
) -> dict[str, Any]:
    now = terms_of(agreement).as_dict()
    wanted = {**now, **{name: value for name, value in draft.terms.as_dict().items() if name in AMENDABLE}}
    changed = {name: wanted[name] for name in AMENDABLE if wanted[name] != now[name]}
    if not changed:
        raise RuleBroken(
            _("This changes nothing in the agreement."),
            code="nothing_changed",
            remedy=_("Change at least one of its terms."),
        )
    if not draft.reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    if not agreement.valid_from <= draft.effective_from <= wanted["valid_until"]:
        raise RuleBroken(
            _("An amendment takes effect on a day of the agreement's term."),
            code="effective_outside_term",
            field="effective_from",
        )
    _check(agreement, AgreementTerms(**wanted), changed)
    amendment.changes = {name: [plain(name, now[name]), plain(name, value)] for name, value in changed.items()}
    amendment.reason, amendment.effective_from = draft.reason.strip(), draft.effective_from
    written = {**amendment.changes, "effective_from": draft.effective_from, "reason": amendment.reason}
    return written | (attach(amendment, check_document(document)) if document else {})


def _check(agreement: Agreement, terms: AgreementTerms, changed: dict[str, Any]) -> None:
    check_terms(terms, but=agreement)
    if "valid_until" in changed:
        check_no_overlap(agreement.organisation, terms, but=agreement)
    check_promised(terms, committed(agreement))


def _check_amendable(agreement: Agreement, *, but: Amendment | None = None) -> None:
    if agreement.state not in AMENDED:
        raise WrongState(
            _("Only an agreement in force is amended."),
            remedy=_("Change the draft, or renew an agreement that is over."),
        )
    waiting = agreement.amendments.filter(state__in=("draft", "agreed"))
    other = (waiting.exclude(pk=but.pk) if but else waiting).first()
    if other is not None:
        raise WrongState(
            _("The amendment %(number)s is not in force yet.") % {"number": str(other)},
            code="amendment_open",
            remedy=_("Finish or withdraw it first."),
            facts={"amendment": other.public_id},
        )


def _hold(amendment: Amendment, why: str) -> None:
    if amendment.held_reason:
        return
    amendment.held_reason = why[:300]
    amendment.save(update_fields=["held_reason"])
    record(actor=CLOCK, verb="amendment.hold", target=amendment, changes={"reason": why})
    _tell(amendment, "amendment_held", officers())


def _move(actor: Any, amendment: Amendment, event: str) -> Amendment:
    before, amendment.state = amendment.state, AMENDMENT.next(amendment.state, event)
    amendment.save(update_fields=["state"])
    changes = {"state": [before, amendment.state], "agreement": amendment.agreement.public_id}
    record(actor=actor, verb=f"amendment.{event}", target=amendment, changes=changes)
    if event == "take_effect":
        _tell(amendment, "amendment_in_force", managers_of(amendment.agreement.organisation))
    return amendment


def _tell(amendment: Amendment, event: str, people: Any) -> None:
    notify(
        recipients=people,
        event=event,
        context={
            "number": str(amendment),
            "agreement": amendment.agreement.number,
            "reason": amendment.held_reason or amendment.reason,
            "effective_from": amendment.effective_from.isoformat(),
        },
        url=amendment.get_absolute_url(),
    )


def _lock(pk: int) -> Agreement:
    rows = Agreement.objects.select_for_update(of=("self",), no_key=True).select_related("organisation")
    return rows.get(pk=pk)
