"""Files that go with a call, kept outside every web root: looked at by their first bytes, not by their names."""

import hashlib
from functools import partial
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.permissions import require
from common.texts import one_line
from proposals.models import Call, CallDocument
from proposals.rules import may_edit_call
from proposals.services.sniffing import check_container

MAX_DOCUMENTS = 20
MAX_NAME = 200
ZIP = b"PK\x03\x04"
KINDS = {
    b"%PDF-": ("pdf",),  # ISO 32000-1, 7.5.2
    ZIP: ("docx", "xlsx", "pptx", "hwpx", "odt", "ods", "zip"),  # the packages of office programs
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("hwp", "doc", "xls", "ppt"),  # compound files (MS-CFB)
}


@transaction.atomic
def add_document(*, actor: Any, call: Call, upload: UploadedFile) -> CallDocument:
    """Put a file to a call that is not over. Forbidden; WrongState; RuleBroken for its size, kind or number."""
    require(actor, may_edit_call)
    call = Call.objects.select_for_update(no_key=True).get(pk=call.pk)
    _check_stage(call, "draft", "announced", "open")
    if call.documents.count() >= MAX_DOCUMENTS:
        raise RuleBroken(
            _("A call has at most %(most)s documents.") % {"most": MAX_DOCUMENTS}, code="too_many", field="document"
        )
    name, suffix = _checked(upload)
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    document = CallDocument(call=call, name=name, sha256=digest.hexdigest())
    document.file.save(f"{call.public_id}-{document.sha256[:12]}.{suffix}", upload, save=False)
    document.save()
    changes = {"document": document.public_id, "name": name, "sha256": document.sha256}
    record(actor=actor, verb="call.add_document", target=call, changes=changes)
    return document


@transaction.atomic
def remove_document(*, actor: Any, call: Call, document: CallDocument) -> None:
    """Take a file away from a draft. Forbidden; WrongState once partners could read it."""
    require(actor, may_edit_call)
    call = Call.objects.select_for_update(no_key=True).get(pk=call.pk)
    _check_stage(call, "draft", "announced")
    stored = str(document.file.name)
    if not CallDocument.objects.filter(file=stored).exclude(pk=document.pk).exists():  # a copied call shares its files
        transaction.on_commit(partial(document.file.storage.delete, stored))
    changes = {"document": document.public_id, "name": document.name}
    document.delete()
    record(actor=actor, verb="call.remove_document", target=call, changes=changes)


def _check_stage(call: Call, *stages: str) -> None:
    if call.stage not in stages:
        raise WrongState(
            _("The documents of this call stand as they were published."),
            code="call_published",
            remedy=_("Add a corrected file beside the old one while the call is open."),
        )


def _checked(upload: UploadedFile) -> tuple[str, str]:
    """The name to show and the kind by its first bytes; a package is looked into within bounds, and never unpacked."""
    name = one_line(PurePath((upload.name or "").replace("\\", "/")).name)[-MAX_NAME:] or "document"
    if (upload.size or 0) > settings.MAX_UPLOAD_BYTES:
        raise RuleBroken(
            _("This file is too large: %(size)s.") % {"size": filesizeformat(upload.size or 0)},
            code="file_too_large",
            remedy=_("At most %(size)s can be uploaded.") % {"size": filesizeformat(settings.MAX_UPLOAD_BYTES)},
            field="document",
        )
    upload.seek(0)
    head, suffix = upload.read(8), PurePath(name).suffix.lower().removeprefix(".")
    upload.seek(0)
    if not any(head.startswith(magic) and suffix in suffixes for magic, suffixes in KINDS.items()):
        raise RuleBroken(
            _("This is not a document, or its name does not say truly what it is."),
            code="not_a_document",
            remedy=_("PDF, HWP, HWPX, DOCX, XLSX, PPTX, ODT, ODS and ZIP files can be uploaded."),
            field="document",
        )
    if head.startswith(ZIP):
        check_container(upload, "document")  # type: ignore[arg-type]
    return name, suffix
