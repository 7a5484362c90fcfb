"""Verbs on the MOU."""

from datetime import date, timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.actors import SystemActor
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.lifecycle import AGREEMENT
from partners.models import Agreement, Organisation
from partners.policy import cutoff
from partners.selectors import managers_of
from partners.services.documents import attach, check_document
from partners.services.signing import (
    SIDES,
    check_signed,
    lock_draft,
    replace_document,
    sign_on_paper,
    void_signatures,
)
from partners.services.strangers import check_stranger
from partners.services.term_checks import check_no_overlap, check_terms
from partners.terms import MAX_GPU_SECONDS as MAX_GPU_SECONDS
from partners.terms import MAX_GPUS as MAX_GPUS
from partners.terms import AgreementTerms as AgreementTerms
from partners.terms import terms_of

STOPPED = ("suspended", "lapsed", "terminated")


@transaction.atomic
def register_agreement(
    *,
    actor: Any,
    organisation: Organisation,
    terms: AgreementTerms,
    document: UploadedFile | None = None,
    signed_on_paper: bool = False,
    renews: Agreement | None = None,
) -> Agreement:
    """Register a draft. `signed_on_paper`: the document bears both signatures, of the named signatories and the named
    day. `renews`: the agreement that it continues, from the day after that one's last.

    Forbidden; RuleBroken for terms that contradict themselves or another agreement's, or a file that is no PDF.
    """
    require(actor, may_run_programme)
    check_terms(terms, but=None)
    check_no_overlap(organisation, terms, but=None)
    if renews is not None:
        _check_renewal(renews, terms)
    agreement = Agreement(organisation=organisation, renews=renews, **terms.as_dict())
    changes: dict[str, Any] = {"organisation": organisation.public_id, **terms.as_dict()}
    if renews is not None:
        changes["renews"] = renews.public_id
    if document:
        changes |= attach(agreement, check_document(document))
    agreement.save()
    record(actor=actor, verb="agreement.register", target=agreement, changes=changes)
    if signed_on_paper:
        _both_on_paper(actor, agreement)
    return agreement


@transaction.atomic
def edit_agreement(
    *,
    actor: Any,
    agreement: Agreement,
    terms: AgreementTerms,
    document: UploadedFile | None = None,
    signed_on_paper: bool = False,
    revision: int | None = None,
) -> Agreement:
    """Change a draft; what was signed of it before is void then. What was activated stays as it was signed.

    Forbidden; RuleBroken; WrongState once it is no draft, or where `revision` is given and somebody has saved since.
    """
    require(actor, may_run_programme)
    agreement = _as_agreement(lock_draft(agreement))
    _check_revision(agreement, terms, revision)
    check_terms(terms, but=agreement)
    check_no_overlap(agreement.organisation, terms, but=agreement)
    if agreement.renews_id and agreement.renews:
        _check_renewal(agreement.renews, terms, by=agreement)
    changes: dict[str, Any] = {}
    for name, value in terms.as_dict().items():
        if getattr(agreement, name) != value:
            changes[name] = [getattr(agreement, name), value]
            setattr(agreement, name, value)
    if document:
        changes |= attach(agreement, check_document(document))
    if changes:
        agreement.revision += 1
        agreement.save()
        record(actor=actor, verb="agreement.edit", target=agreement, changes=changes)
        void_signatures(actor, agreement)
    if signed_on_paper:
        _both_on_paper(actor, agreement)
    return agreement


@transaction.atomic
def attach_document(
    *, actor: Any, agreement: Agreement, document: UploadedFile, signed_on_paper: bool = False
) -> Agreement:
    """Put the document to a draft, or replace it; `signed_on_paper` as when it is registered.

    Forbidden; WrongState; RuleBroken for what is no PDF.
    """
    require(actor, may_run_programme)
    agreement = _as_agreement(lock_draft(agreement))
    changes = replace_document(actor, agreement, document)
    agreement.revision += 1
    agreement.save(update_fields=["revision"])
    record(actor=actor, verb="agreement.attach_document", target=agreement, changes=changes)
    if signed_on_paper:
        _both_on_paper(actor, agreement)
    return agreement


@transaction.atomic
def activate(*, actor: Any, agreement: Agreement) -> Agreement:
    """Put a draft into force. Forbidden; InvalidTransition; RuleBroken unless both sides have signed its document, and
    for somebody of that organisation (as in all that follow).
    """
    return _move(actor, agreement, "activate", "")


@transaction.atomic
def suspend(*, actor: Any, agreement: Agreement, reason: str) -> Agreement:
    """Stop new asks, awards and bookings for now; what runs ends by the rule that the agreement states.

    Forbidden, InvalidTransition, RuleBroken.
    """
    return _move(actor, agreement, "suspend", _reason(reason))


@transaction.atomic
def resume(*, actor: Any, agreement: Agreement) -> Agreement:
    """Undo a suspension. Forbidden, InvalidTransition."""
    return _move(actor, agreement, "resume", "")


@transaction.atomic
def terminate(*, actor: Any, agreement: Agreement, reason: str) -> Agreement:
    """End it for good. Forbidden, InvalidTransition, RuleBroken without a reason."""
    return _move(actor, agreement, "terminate", _reason(reason))


@transaction.atomic
def lapse_due(*, actor: SystemActor, today: date) -> int:
    """Let agreements whose last day is over lapse; how many did."""
    due = Agreement.objects.filter(state__in=["active", "suspended"], valid_until__lt=today).order_by("pk")
    agreements = list(due.select_for_update(skip_locked=True, no_key=True))
    for agreement in agreements:
        _move(actor, agreement, "lapse", "")
    return len(agreements)


@transaction.atomic
def note_played_out(*, agreement_ids: list[int]) -> int:
    """Nothing under these ended agreements has to be looked after any more (allocations says so)."""
    return Agreement.objects.filter(pk__in=agreement_ids, state__in=("lapsed", "terminated")).update(played_out=True)


def _move(actor: Any, agreement: Agreement, event: str, reason: str) -> Agreement:
    require(actor, may_run_programme)
    agreement = (
        Agreement.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation")
        .get(pk=agreement.pk)
    )
    check_stranger(actor, agreement.organisation)
    before = agreement.state
    agreement.state = AGREEMENT.next(agreement.state, event)
    if event == "activate":
        signatures = check_signed(agreement)
        check_no_overlap(agreement.organisation, terms_of(agreement), but=agreement)
        agreement.signed_on = max(row.signed_on for row in signatures)
    agreement.state_since, agreement.state_reason = timezone.now(), reason
    agreement.played_out = agreement.state not in STOPPED
    agreement.save(update_fields=["state", "state_since", "state_reason", "played_out", "signed_on"])
    changes = {"state": [before, agreement.state], **({"reason": reason} if reason else {})}
    record(actor=actor, verb=f"agreement.{event}", target=agreement, changes=changes)
    notify(
        recipients=managers_of(agreement.organisation),
        event=f"agreement_{event}",
        context={
            "number": agreement.number,
            "title": agreement.title,
            "reason": reason,
            "valid_from": agreement.valid_from.isoformat(),
            "valid_until": agreement.valid_until.isoformat(),
            "running_until": _running_until(agreement),
        },
        url=agreement.get_absolute_url(),
    )
    return agreement


def _running_until(agreement: Agreement) -> str:
    """Until when what runs goes on, for a mail: "" to its own end."""
    end = cutoff(agreement)
    return "" if end is None else timezone.localtime(end, timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M")


def _as_agreement(paper: Any) -> Agreement:
    assert isinstance(paper, Agreement)
    return paper


def _both_on_paper(actor: Any, agreement: Agreement) -> None:
    if agreement.signed_on is None:
        raise RuleBroken(_("The day of the signatures is missing."), code="signed_on_missing", field="signed_on")
    names = {"agency": agreement.agency_signatory, "partner": agreement.partner_signatory}
    sign_on_paper(actor=actor, paper=agreement, sides=SIDES, signed_on=agreement.signed_on, signatories=names)


def _check_renewal(old: Agreement, terms: AgreementTerms, *, by: Agreement | None = None) -> None:
    next_day = old.valid_until + timedelta(days=1)
    if old.state not in ("active", "suspended", "lapsed"):
        raise WrongState(_("Only an agreement that is or was in force can be renewed."))
    later = Agreement.objects.filter(renews=old)
    if (later.exclude(pk=by.pk) if by else later).exists():
        raise RuleBroken(
            _("This agreement has been renewed already."),
            code="renewed_already",
            remedy=_("Change that draft instead."),
        )
    if terms.valid_from != next_day:
        raise RuleBroken(
            _("A renewal begins on the day after the last day of the agreement that it continues."),
            code="renewal_gap",
            remedy=_("That is %(day)s.") % {"day": next_day.isoformat()},
            field="valid_from",
        )


def _check_revision(agreement: Agreement, terms: AgreementTerms, revision: int | None) -> None:
    """What somebody else saved meanwhile is told, field by field, and nothing of either is lost."""
    if revision is None or revision == agreement.revision:
        return
    saved = terms_of(agreement).as_dict()
    other = {name: saved[name] for name, value in terms.as_dict().items() if saved[name] != value}
    names = [str(Agreement._meta.get_field(name).verbose_name) for name in other]  # type: ignore[union-attr]
    raise WrongState(
        _("Somebody has saved this draft since you opened it. Saved there and different here: %(names)s.")
        % {"names": ", ".join(f"{name} ({value})" for name, value in zip(names, other.values(), strict=True)) or "–"},
        code="overtaken",
        remedy=_("What you typed is still here. Check these fields, then save again."),
        facts={"revision": agreement.revision, "saved": {name: str(value) for name, value in other.items()}},
    )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    return reason.strip()
