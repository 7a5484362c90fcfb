"""The signed document of an agreement: a PDF by its bytes, kept outside every web root."""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from partners.models import Agreement, Amendment

PDF_MAGIC = b"%PDF-"  # ISO 32000-1, 7.5.2: the first line of the file


@dataclass(frozen=True)
class CheckedDocument:
    """An upload that was looked at: the file, the name to show, its SHA-256 in hex."""

    file: UploadedFile
    name: str
    sha256: str


def check_document(upload: UploadedFile) -> CheckedDocument:
    """Look at the size and at the first bytes, never at the name or the type that was claimed. RuleBroken."""
    if (upload.size or 0) > settings.MAX_UPLOAD_BYTES:
        raise RuleBroken(
            _("This file is too large: %(size)s.") % {"size": filesizeformat(upload.size or 0)},
            code="file_too_large",
            remedy=_("At most %(size)s can be uploaded.") % {"size": filesizeformat(settings.MAX_UPLOAD_BYTES)},
            field="document",
        )
    upload.seek(0)
    if upload.read(len(PDF_MAGIC)) != PDF_MAGIC:
        raise RuleBroken(
            _("This file is not a PDF document."),
            code="not_a_pdf",
            remedy=_("Please upload the signed agreement as a PDF."),
            field="document",
        )
    upload.seek(0)
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    upload.seek(0)
    return CheckedDocument(upload, _shown_name(upload.name or ""), digest.hexdigest())


def attach(paper: Agreement | Amendment, document: CheckedDocument) -> dict[str, Any]:
    """Keep the file under a name of our own; the caller saves the row. The fields changed, for the audit log."""
    replaced = paper.document.name
    paper.document.save(f"{paper.public_id}-{document.sha256[:12]}.pdf", document.file, save=False)
    paper.document_name = document.name
    paper.document_sha256 = document.sha256
    if replaced:
        transaction.on_commit(partial(paper.document.storage.delete, replaced))
    return {"document_name": document.name, "document_sha256": document.sha256}


def digest_of(paper: Agreement | Amendment) -> str:
    """The SHA-256 of the bytes that are kept, in hex; "" where the file is gone. Read anew: this is what is signed."""
    digest = hashlib.sha256()
    try:
        with paper.document.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


def _shown_name(raw: str) -> str:
    """The name as the person knows it: no folders, no control characters, composed Hangul, 200 characters."""
    name = unicodedata.normalize("NFC", PurePath(raw.replace("\\", "/")).name)
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip() or "agreement.pdf"
    stem, dot, suffix = name.rpartition(".")
    return name if len(name) <= 200 else f"{(stem or name)[:190]}{dot}{suffix[:8]}"
