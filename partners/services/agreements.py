"""Verbs on the MOU."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_programme
from audit.services import record
from common.actors import SystemActor
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.figures import gpu_class_choices
from partners.lifecycle import AGREEMENT
from partners.models import Agreement, Organisation
from partners.selectors import managers_of
from partners.services.documents import attach, check_document

MAX_GPU_SECONDS = 10**9 * 3600  # a thousand million GPU-hours: far above any agreement, far below a bigint
MAX_GPUS = 1_000_000


@dataclass(frozen=True)
class AgreementTerms:
    """What stands in the MOU. `ceiling_gpu_seconds` are device-seconds; `valid_until` is a day that counts."""

    number: str
    title: str
    signed_on: date
    valid_from: date
    valid_until: date
    agency_signatory: str
    partner_signatory: str
    cooperation: list[str]
    ceiling_gpu_seconds: int
    ceiling_concurrent_gpus: int
    gpu_classes: list[str]


@transaction.atomic
def register_agreement(
    *, actor: Any, organisation: Organisation, terms: AgreementTerms, document: UploadedFile | None = None
) -> Agreement:
    """Register a draft. Forbidden; RuleBroken for terms that contradict themselves or a file that is no PDF."""
    require(actor, may_run_programme)
    _check_terms(terms, but=None)
    agreement = Agreement(organisation=organisation, **asdict(terms))
    changes: dict[str, Any] = {"organisation": organisation.public_id, **asdict(terms)}
    if document:
        changes |= attach(agreement, check_document(document))
    agreement.save()
    record(actor=actor, verb="agreement.register", target=agreement, changes=changes)
    return agreement


@transaction.atomic
def edit_agreement(
    *, actor: Any, agreement: Agreement, terms: AgreementTerms, document: UploadedFile | None = None
) -> Agreement:
    """Change a draft. What was activated stays as it was signed. Forbidden, WrongState, RuleBroken."""
    require(actor, may_run_programme)
    agreement = _lock_draft(agreement)
    _check_terms(terms, but=agreement)
    changes: dict[str, Any] = {}
    for name, value in asdict(terms).items():
        if getattr(agreement, name) != value:
            changes[name] = [getattr(agreement, name), value]
            setattr(agreement, name, value)
    if document:
        changes |= attach(agreement, check_document(document))
    if changes:
        agreement.save()
        record(actor=actor, verb="agreement.edit", target=agreement, changes=changes)
    return agreement


@transaction.atomic
def attach_document(*, actor: Any, agreement: Agreement, document: UploadedFile) -> Agreement:
    """Put the signed document to a draft, or replace it. Forbidden; WrongState; RuleBroken for what is no PDF."""
    require(actor, may_run_programme)
    agreement = _lock_draft(agreement)
    changes = attach(agreement, check_document(document))
    agreement.save(update_fields=["document", "document_name", "document_sha256"])
    record(actor=actor, verb="agreement.attach_document", target=agreement, changes=changes)
    return agreement


@transaction.atomic
def activate(*, actor: Any, agreement: Agreement) -> Agreement:
    """Put a draft into force. Forbidden; InvalidTransition; RuleBroken without its signed document."""
    return _move(actor, agreement, "activate", "")


@transaction.atomic
def suspend(*, actor: Any, agreement: Agreement, reason: str) -> Agreement:
    """Stop new asks, awards and bookings for now; what runs goes on. Forbidden, InvalidTransition, RuleBroken."""
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


def _move(actor: Any, agreement: Agreement, event: str, reason: str) -> Agreement:
    require(actor, may_run_programme)
    agreement = (
        Agreement.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation")
        .get(pk=agreement.pk)
    )
    before = agreement.state
    agreement.state = AGREEMENT.next(agreement.state, event)
    if event == "activate":
        _check_signed(agreement)
    agreement.save(update_fields=["state"])
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
        },
        url=agreement.get_absolute_url(),
    )
    return agreement


def _lock_draft(agreement: Agreement) -> Agreement:
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=agreement.pk)
    if agreement.state != AGREEMENT.initial:
        raise WrongState(
            _("Only a draft can be changed: this agreement is in force or was."),
            remedy=_("Register a new agreement instead."),
        )
    return agreement


def _check_signed(agreement: Agreement) -> None:
    """What allows GPU-hours must be there to be read: no agreement is in force without its document."""
    if not agreement.document:
        raise RuleBroken(
            _("An agreement comes into force only with its signed document, and this draft has none."),
            code="document_missing",
            remedy=_("Upload the signed agreement as a PDF under “Change the draft”, then activate it."),
            field="document",
            facts={"rule": "document", "agreement": agreement.public_id},
        )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    return reason.strip()


def _check_terms(terms: AgreementTerms, *, but: Agreement | None) -> None:
    taken = Agreement.objects.filter(number=terms.number)
    if (taken.exclude(pk=but.pk) if but else taken).exists():
        raise RuleBroken(_("An agreement with this number already exists."), code="duplicate_number", field="number")
    if terms.valid_until < terms.valid_from:
        raise RuleBroken(
            _("The term ends before it begins."),
            code="term_order",
            remedy=_("Please check both days."),
            field="valid_until",
        )
    for value, most, field in (
        (terms.ceiling_gpu_seconds, MAX_GPU_SECONDS, "ceiling_gpu_hours"),
        (terms.ceiling_concurrent_gpus, MAX_GPUS, "ceiling_concurrent_gpus"),
    ):
        if not 0 < value <= most:
            raise RuleBroken(_("A ceiling is a number above zero."), code="bad_ceiling", field=field)
    unknown = sorted(set(terms.gpu_classes) - {code for code, _name in gpu_class_choices()})
    if unknown or not terms.gpu_classes:
        raise RuleBroken(
            _("These GPU classes are not known: %(names)s.") % {"names": ", ".join(unknown)}
            if unknown
            else _("An agreement covers at least one GPU class."),
            code="unknown_gpu_class",
            field="gpu_classes",
        )
    if set(terms.cooperation) - set(Agreement.Cooperation.values):
        raise RuleBroken(_("This is not an area of cooperation."), code="unknown_cooperation", field="cooperation")
