"""What a file is, by its bytes; the claimed type decides nothing, and a name that lies is refused."""

import unicodedata
import zipfile
from pathlib import PurePath
from typing import IO

import filetype
from django.utils.translation import gettext as _

from common.archives import Bounds, UnsafeArchive, check_archive
from common.errors import RuleBroken
from proposals.models import Attachment

Kind = Attachment.Kind
SUFFIXES = {
    "pdf": Kind.PDF,
    "docx": Kind.DOCX,
    "xlsx": Kind.XLSX,
    "pptx": Kind.PPTX,
    "hwp": Kind.HWP,
    "hwpx": Kind.HWPX,
    "png": Kind.PNG,
    "jpg": Kind.JPEG,
    "jpeg": Kind.JPEG,
}
MIME = {
    Kind.PDF: "application/pdf",
    Kind.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    Kind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Kind.PPTX: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    Kind.HWP: "application/x-hwp",
    Kind.HWPX: "application/hwp+zip",
    Kind.PNG: "image/png",
    Kind.JPEG: "image/jpeg",
}
BOUNDS = Bounds()
HEAD = 8192
COMPOUND_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # [MS-CFB] 2.2
HWP_SIGNATURE = b"HWP Document File"  # the stream FileHeader of HWP 5.0, which is never compressed
PARTS = {"word/": Kind.DOCX, "xl/": Kind.XLSX, "ppt/": Kind.PPTX}  # ISO/IEC 29500-2: where each keeps its parts
HWPX_TYPE = b"application/hwp+zip"  # KS X 6101: the first entry, `mimetype`
MACROS = ("vbaproject.bin", "vbadata.xml")


def kind_of(file: IO[bytes], name: str) -> Kind:
    """The kind of a file whose first byte is read next. RuleBroken (field `file`) for anything that is not taken."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise _refused(_("This file is empty."), "file_empty", _("Please choose another one."))
    kind = _kind(file, head)
    if kind is None:
        raise _refused(
            _("This kind of file is not taken, whatever it is called."),
            "file_kind",
            _("Please attach PDF, Hangul (HWP, HWPX), Word, Excel, PowerPoint (not the old formats), PNG or JPEG."),
        )
    suffix = PurePath(name).suffix.lower().removeprefix(".")
    if SUFFIXES.get(suffix) != kind:
        raise _refused(
            _("This file is called “%(suffix)s”, but what is in it is: %(kind)s.")
            % {"suffix": f".{suffix}" if suffix else _("nothing"), "kind": kind.label},
            "file_name_lies",
            _("Export it again, or give it the ending .%(suffix)s.") % {"suffix": kind.value},
        )
    return kind


def shown_name(raw: str) -> str:
    """The name as the person knows it: no folders, no control or invisible characters, composed Hangul, 200 at most."""
    name = unicodedata.normalize("NFC", PurePath(raw.replace("\\", "/")).name)
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip() or "file"
    stem, dot, suffix = name.rpartition(".")
    return name if len(name) <= 200 else f"{(stem or name)[:190]}{dot}{suffix[:8]}"


def _kind(file: IO[bytes], head: bytes) -> Kind | None:
    if head.startswith(COMPOUND_MAGIC):
        return Kind.HWP if _contains(file, HWP_SIGNATURE) else None
    found = filetype.guess(head)
    plain = {"application/pdf": Kind.PDF, "image/png": Kind.PNG, "image/jpeg": Kind.JPEG}
    if found is not None and found.mime in plain:
        return plain[found.mime]
    return _container(file) if head.startswith(b"PK\x03\x04") else None


def _container(file: IO[bytes]) -> Kind | None:
    """An office file: a ZIP that is safe to open and has the parts of its kind."""
    names = check_container(file)
    if any(PurePath(name).name.lower() in MACROS for name in names):
        raise _refused(
            _("This document contains macros."), "file_macros", _("Save it without macros, or as a PDF, and try again.")
        )
    if "[Content_Types].xml" in names:
        return next((kind for part, kind in PARTS.items() if any(name.startswith(part) for name in names)), None)
    if names and names[0] == "mimetype":
        with zipfile.ZipFile(file) as archive, archive.open("mimetype") as entry:
            return Kind.HWPX if entry.read(64).strip() == HWPX_TYPE else None
    return None


def check_container(file: IO[bytes], field: str = "file") -> list[str]:
    """Names of what is in a ZIP. RuleBroken where it is broken, locked, or would grow past our bounds."""
    try:
        return check_archive(file, BOUNDS)
    except UnsafeArchive as error:
        why = _WHY.get(error.reason, _WHY["broken"])()
        raise RuleBroken(why, code=f"archive_{error.reason}", remedy=_remedy(), field=field) from None


def _contains(file: IO[bytes], wanted: bytes) -> bool:
    kept = b""
    try:
        while piece := file.read(1024 * 1024):
            if wanted in kept + piece:
                return True
            kept = piece[-len(wanted) :]
        return False
    finally:
        file.seek(0)


_WHY = {
    "broken": lambda: _("This file is damaged: it cannot be opened."),
    "encrypted": lambda: _("This file is locked with a password."),
    "too_many": lambda: _("This file contains too many parts."),
    "too_large": lambda: _("This file would grow too large when it is opened."),
    "too_dense": lambda: _("This file would grow to many times its size when it is opened."),
}


def _remedy() -> str:
    return _("Please save it anew, or as a PDF, and try again.")


def _refused(message: str, code: str, remedy: str) -> RuleBroken:
    return RuleBroken(message, code=code, remedy=remedy, field="file")
