"""Two sides sign the same bytes: on paper, whose scan an officer uploads, or in the portal with the second factor."""

from datetime import date
from typing import Any, Literal

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import second_factor
from accounts.models import User
from accounts.rules import may_run_programme
from audit.services import record
from common.errors import Forbidden, RuleBroken, WrongState
from common.moments import agency_today
from common.permissions import allowed, require
from common.texts import one_line
from notifications.services import notify
from partners.models import Agreement, AgreementSignature, Amendment
from partners.rules import is_owner_of
from partners.selectors import managers_of, officers
from partners.selectors.signatures import live_signatures
from partners.services.documents import attach, check_document, digest_of
from partners.services.strangers import check_stranger, is_stranger

Paper = Agreement | Amendment
Side = Literal["agency", "partner"]
SIDES: tuple[Side, Side] = ("agency", "partner")


@transaction.atomic
def sign(*, actor: User, paper: Paper, sha256: str, code: str) -> Paper:
    """Sign in the portal: an owner for the partner, an officer for the agency, with their second factor once more.

    `sha256` is what the person was shown. Forbidden; WrongState unless it is a draft; RuleBroken for a wrong code, a
    side that has signed already, a document that is another one than was shown, or an officer who would sign with the
    organisation to which they belong.
    """
    side = side_of(actor, paper)
    if side is None:
        raise Forbidden(_("An agreement is signed by an owner of the organisation and by an officer of the agency."))
    paper = lock_draft(paper)
    if side == "agency":
        check_stranger(actor, _agreement_of(paper).organisation)
    method = second_factor.check(actor=actor, code=code)  # a code is good once: not for a paper that is signed already
    if not paper.document:
        raise _no_document()
    if not sha256 == paper.document_sha256 == digest_of(paper):
        raise RuleBroken(
            _("The document is another one than the one that you were shown."),
            code="document_changed",
            remedy=_("Read it again, then sign."),
            facts={"shown": sha256, "sha256": paper.document_sha256},
        )
    day = agency_today()
    _write(actor, paper, side, AgreementSignature.Method.CLICK, actor.name or actor.email, day, factor=method)
    return paper


@transaction.atomic
def sign_on_paper(
    *,
    actor: Any,
    paper: Paper,
    sides: tuple[Side, ...],
    signed_on: date,
    signatories: dict[str, str],
    document: UploadedFile | None = None,
) -> Paper:
    """An officer records what was signed on paper, by whom and when; `document` is the scan, if it is not there yet.

    Forbidden; WrongState unless it is a draft; RuleBroken without a document, for a day to come, for a side that has
    signed already, for an officer of that organisation. Another scan is another document: it makes signatures under
    the old one void.
    """
    require(actor, may_run_programme)
    paper = lock_draft(paper)
    check_stranger(actor, _agreement_of(paper).organisation)
    if document:
        replace_document(actor, paper, document)
    if not paper.document:
        raise _no_document()
    if signed_on > agency_today():
        raise RuleBroken(_("A signature cannot lie in the future."), code="signed_in_future", field="signed_on")
    for side in sides:
        name = one_line(signatories.get(side, ""))
        if not name:
            raise RuleBroken(_("Who signed must be named."), code="signatory_missing", field="signatory")
        _write(actor, paper, side, AgreementSignature.Method.PAPER, name, signed_on)
    return paper


def side_of(actor: Any, paper: Paper) -> Side | None:
    """For which side somebody may sign in the portal: one query. An owner signs for their organisation alone."""
    agreement = _agreement_of(paper)
    if allowed(actor, is_owner_of, agreement.organisation):
        return "partner"
    return "agency" if allowed(actor, may_run_programme) else None


def closed_to(actor: Any, paper: Paper) -> str:
    """Why somebody cannot sign this any more, in words; "" while they can. What `sign` decides, for those who look."""
    if paper.state != "draft":
        return _("Only a draft can be changed or signed: this one is in force or was.")
    side = side_of(actor, paper)
    if side == "agency" and not is_stranger(actor, _agreement_of(paper).organisation):
        return _("You belong to the organisation that this concerns.")
    signed = side is not None and live_signatures(paper).filter(side=side).exists()
    return _("This side has signed already.") if signed else ""


def lock_draft(paper: Paper) -> Paper:
    """The row, locked, its agreement before its amendment. WrongState once it is no draft any more."""
    agreement_id = paper.pk if isinstance(paper, Agreement) else paper.agreement_id
    rows = Agreement.objects.select_for_update(of=("self",), no_key=True).select_related("organisation")
    agreement = rows.get(pk=agreement_id)
    locked: Paper = agreement
    if isinstance(paper, Amendment):
        locked = Amendment.objects.select_for_update(no_key=True).get(pk=paper.pk)
        locked.agreement = agreement
    if locked.state != "draft":
        raise WrongState(
            _("Only a draft can be changed or signed: this one is in force or was."),
            remedy=_("An agreement in force is changed by an amendment."),
        )
    return locked


def replace_document(actor: Any, paper: Paper, document: UploadedFile) -> dict[str, Any]:
    """Put another document to a locked draft; what was signed before is void. RuleBroken for what is no PDF."""
    changes = attach(paper, check_document(document))
    paper.save(update_fields=["document", "document_name", "document_sha256"])
    void_signatures(actor, paper)
    return changes


def void_signatures(actor: Any, paper: Paper) -> int:
    """The draft has changed: nobody has signed what it says now. How many signatures that undoes."""
    gone = live_signatures(paper).update(voided_at=timezone.now())
    if gone:
        record(actor=actor, verb=f"{_noun(paper)}.void_signatures", target=paper, changes={"signatures": gone})
    return gone


def check_signed(paper: Paper) -> list[AgreementSignature]:
    """Both sides' signatures under the document that is there; RuleBroken where one is missing."""
    if not paper.document:
        raise _no_document()
    rows = [row for row in live_signatures(paper) if row.document_sha256 == paper.document_sha256]
    missing = [side for side in SIDES if side not in {row.side for row in rows}]
    if missing:
        names = dict(AgreementSignature.Side.choices)
        raise RuleBroken(
            _("It comes into force only when both sides have signed. Not signed yet: %(sides)s.")
            % {"sides": ", ".join(str(names[side]) for side in missing)},
            code="not_signed",
            remedy=_("Sign in the portal, or record the signatures on paper."),
            facts={"rule": "signatures", "missing": missing},
        )
    return rows


def is_signed(paper: Paper) -> bool:
    """Whether both sides have signed what is there."""
    try:
        check_signed(paper)
    except RuleBroken:
        return False
    return True


def _write(actor: Any, paper: Paper, side: Side, method: str, name: str, day: date, *, factor: str = "") -> None:
    agreement = _agreement_of(paper)
    if live_signatures(paper).filter(side=side).exists():
        raise RuleBroken(_("This side has signed already."), code="signed_already")
    AgreementSignature.objects.create(
        agreement=agreement,
        amendment=paper if isinstance(paper, Amendment) else None,
        side=side,
        method=method,
        signatory=name,
        signed_on=day,
        document_sha256=paper.document_sha256,
        recorded_by=actor if isinstance(actor, User) else None,
    )
    changes = {"side": side, "signatory": name, "signed_on": day.isoformat(), "how": method}
    changes |= {"sha256": paper.document_sha256, **({"factor": factor} if factor else {})}
    record(actor=actor, verb=f"{_noun(paper)}.sign", target=paper, changes=changes)
    both = [*managers_of(agreement.organisation), *officers()]
    notify(
        recipients=[user for user in both if user.pk != getattr(actor, "pk", None)],
        event="agreement_signed",
        context={"number": str(paper) if isinstance(paper, Amendment) else agreement.number, "signatory": name},
        url=paper.get_absolute_url(),
    )


def _agreement_of(paper: Paper) -> Agreement:
    return paper if isinstance(paper, Agreement) else paper.agreement


def _noun(paper: Paper) -> str:
    return "agreement" if isinstance(paper, Agreement) else "amendment"


def _no_document() -> RuleBroken:
    return RuleBroken(
        _("An agreement comes into force only with its signed document, and this draft has none."),
        code="document_missing",
        remedy=_("Upload the agreement as a PDF under “Change the draft” first."),
        field="document",
        facts={"rule": "document"},
    )
