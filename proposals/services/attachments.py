"""The verbs on a proposal's files: add, and take away again until it is submitted."""

import hashlib
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.permissions import require
from proposals.models import Answer, Attachment, Proposal, Question
from proposals.rules import may_propose
from proposals.services.drafting import check_editable, lock, touch
from proposals.services.sniffing import kind_of, shown_name

MOST_FILES = 20
MOST_BYTES = 100 * 1024 * 1024


def attach(*, actor: Any, proposal: Proposal, upload: UploadedFile, question: Question | None = None) -> Attachment:
    """Put a file to a draft or returned proposal, as the answer to a question of its call where one is given.

    Looked at by its bytes and stored outside every web root under a name of our own. Forbidden; WrongState;
    RuleBroken (field `file`) for its kind, its size, or a container that would unpack to too much.
    """
    require(actor, may_propose, proposal.organisation)
    check_editable(proposal)
    _check_size(upload)
    name = shown_name(upload.name or "")
    kind = kind_of(upload, name)  # type: ignore[arg-type]
    digest = _digest(upload)
    row = Attachment(
        proposal=proposal, name=name, kind=kind, size_bytes=upload.size or 0, sha256=digest, added_by=actor
    )
    try:
        return _keep(actor, proposal, row, upload, question)
    except BaseException:
        if row.file:
            row.file.storage.delete(str(row.file.name))
        raise


@transaction.atomic
def remove(*, actor: Any, attachment: Attachment) -> Attachment:
    """Take a file away from a draft or returned proposal; a version that was submitted with it keeps it.

    Forbidden; WrongState once it is under review, or where the file is gone already.
    """
    proposal = attachment.proposal
    require(actor, may_propose, proposal.organisation)
    proposal = lock(proposal)
    check_editable(proposal)
    attachment = Attachment.objects.select_for_update(of=("self",), no_key=True).get(pk=attachment.pk)
    if attachment.removed_at is not None:
        raise WrongState(_("This file has already been removed."), code="file_removed")
    attachment.answers.all().delete()
    attachment.removed_at = timezone.now()
    attachment.save(update_fields=["removed_at"])
    if not attachment.versions.exists():
        storage, path = attachment.file.storage, str(attachment.file.name)
        transaction.on_commit(lambda: storage.delete(path))
    touch(proposal, actor)
    proposal.save(update_fields=["revision", "edited_at", "edited_by"])
    changes = {"attachment": attachment.public_id, "name": attachment.name, "sha256": attachment.sha256}
    record(actor=actor, verb="proposal.detach", target=proposal, changes=changes)
    return attachment


@transaction.atomic
def _keep(actor: Any, proposal: Proposal, row: Attachment, upload: Any, question: Question | None) -> Attachment:
    proposal = lock(proposal)
    check_editable(proposal)
    if question is not None and (question.call_id != proposal.call_id or question.kind != Question.Kind.FILE):
        raise RuleBroken(_("This call has no such question."), code="unknown_question", field="question")
    _check_room(proposal, row, question)
    row.file.save(f"{row.public_id}-{row.sha256[:12]}.bin", upload, save=False)
    row.save()
    if question is not None:
        _answer(actor, proposal, question, row)
    touch(proposal, actor)
    proposal.save(update_fields=["revision", "edited_at", "edited_by"])
    changes = {
        "attachment": row.public_id,
        "name": row.name,
        "kind": row.kind,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
    }
    record(actor=actor, verb="proposal.attach", target=proposal, changes=changes)
    return row


def _answer(actor: Any, proposal: Proposal, question: Question, row: Attachment) -> None:
    """One file a question: the next one takes the place of the one before."""
    before = Answer.objects.filter(proposal=proposal, question=question).select_related("file__proposal").first()
    if before is not None and before.file is not None:
        remove(actor=actor, attachment=before.file)
    Answer.objects.create(proposal=proposal, question=question, file=row)


def _check_size(upload: UploadedFile) -> None:
    if (upload.size or 0) > settings.MAX_UPLOAD_BYTES:
        raise RuleBroken(
            _("This file is too large: %(size)s.") % {"size": filesizeformat(upload.size or 0)},
            code="file_too_large",
            remedy=_("At most %(size)s can be uploaded.") % {"size": filesizeformat(settings.MAX_UPLOAD_BYTES)},
            field="file",
        )


def _check_room(proposal: Proposal, row: Attachment, question: Question | None) -> None:
    kept = proposal.attachments.filter(removed_at=None)
    if question is not None:
        kept = kept.exclude(answers__question=question)
    if kept.filter(sha256=row.sha256).exists():
        raise RuleBroken(
            _("This very file is attached already."), code="file_twice", remedy=_("Choose another one."), field="file"
        )
    if kept.count() >= MOST_FILES:
        raise RuleBroken(
            _("A proposal has at most %(most)s attachments.") % {"most": MOST_FILES},
            code="too_many_files",
            remedy=_("Remove one first, or put several into one document."),
            field="file",
        )
    if (kept.aggregate(total=Sum("size_bytes"))["total"] or 0) + row.size_bytes > MOST_BYTES:
        raise RuleBroken(
            _("All attachments together have at most %(size)s.") % {"size": filesizeformat(MOST_BYTES)},
            code="files_too_large",
            remedy=_("Remove one first."),
            field="file",
        )


def _digest(upload: Any) -> str:
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return digest.hexdigest()
