"""One document from stdin, its text and metadata to stdout; exit 0 where all of it was read.

Run by its path, in a process of its own: imports nothing of the portal, sees no environment, and has little memory and
little time. Whatever a stranger's bytes make of a parser ends with it.
"""

import io
import re
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import olefile
from defusedxml.ElementTree import fromstring
from pypdf import PdfReader

MEMORY_BYTES = 1024 * 1024 * 1024
PROCESSOR_SECONDS = 20
MOST_CHARACTERS = 5_000_000
MOST_UNPACKED = 100 * 1024 * 1024
MOST_PAGES = 500
PARTLY = 3

XML_PARTS = re.compile(r"\.(xml|rels|hpf|txt)$", re.IGNORECASE)
METADATA_PARTS = re.compile(r"^docProps/|\.hpf$|\.rels$", re.IGNORECASE)
BREAKS = frozenset({"p", "si", "c", "tc", "tr", "row", "br", "cr", "tab"})  # a word never goes on behind these
AUTHORS = frozenset({"author", "userId", "name", "initials"})  # attributes of comments and changes that name somebody

HWP_COMPRESSED, HWP_LOCKED = 0x1, 0x2 | 0x4  # [HWP 5.0] FileHeader: compressed; password, distribution copy
HWP_PARA_TEXT = 67


class Partly(Exception):
    """There is more in it than can be read."""


def pdf(content: bytes) -> Iterator[str]:
    """Metadata (dictionary and XMP), then page by page."""
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Partly
    yield from (str(value) for value in (reader.metadata or {}).values())
    with suppress(Exception):  # XMP may be anything
        yield reader.trailer["/Root"]["/Metadata"].get_data().decode("utf-8", "ignore")  # type: ignore[index]
    written = 0
    for place, page in enumerate(reader.pages):
        if place == MOST_PAGES:
            raise Partly
        text = page.extract_text()
        written += len(text.strip())
        yield text
    if not written:
        raise Partly  # a scan


def package(content: bytes) -> Iterator[str]:
    """DOCX, XLSX, PPTX, HWPX: every part that is text, its properties among them."""
    left = MOST_UNPACKED
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if not XML_PARTS.search(entry.filename):
                continue
            with archive.open(entry) as stream:
                part = stream.read(left)
            left -= len(part)
            if left <= 0:
                raise Partly
            if entry.filename.lower().endswith(".txt"):
                yield part.decode("utf-8", "ignore")
            else:
                yield _xml(part, apart=bool(METADATA_PARTS.search(entry.filename)))


def _xml(part: bytes, *, apart: bool) -> str:
    """Runs of one paragraph are joined: Word divides a name wherever somebody corrected it. `apart`: nothing is."""
    found: list[str] = []
    for element in fromstring(part).iter():
        name = str(element.tag).rpartition("}")[2]
        if apart or name in BREAKS:
            found.append("\n")
        found += [element.text or "", element.tail or ""]
        found += [f"\n{value}\n" for key, value in element.attrib.items() if key.rpartition("}")[2] in AUTHORS]
    return "".join(found)


def hwp(content: bytes) -> Iterator[str]:
    """HWP 5.0: summary, preview, and the paragraphs of each section."""
    with olefile.OleFileIO(io.BytesIO(content)) as file:
        (flags,) = struct.unpack_from("<I", file.openstream("FileHeader").read(), 36)
        for path in file.listdir():
            if path[-1] == "\x05HwpSummaryInformation":
                yield from (str(value) for value in file.getproperties(path).values())
            elif path == ["PrvText"]:
                yield file.openstream(path).read().decode("utf-16-le", "ignore")
            elif path[0] == "BodyText" and not flags & HWP_LOCKED:
                section = file.openstream(path).read()
                yield _paragraphs(_inflated(section) if flags & HWP_COMPRESSED else section)
        if flags & HWP_LOCKED:
            raise Partly


def _inflated(packed: bytes) -> bytes:
    engine = zlib.decompressobj(-15)
    unpacked = engine.decompress(packed, MOST_UNPACKED)
    if engine.unconsumed_tail:
        raise Partly
    return unpacked


def _paragraphs(section: bytes) -> str:
    """[HWP 5.0] Records: 10 bits tag, 10 bits level, 12 bits size; all of these set: the size follows in four bytes."""
    found, at = [], 0
    while at + 4 <= len(section):
        (head,) = struct.unpack_from("<I", section, at)
        at, size = at + 4, head >> 20
        if size == 0xFFF and at + 4 <= len(section):
            (size,) = struct.unpack_from("<I", section, at)
            at += 4
        if head & 0x3FF == HWP_PARA_TEXT:
            found.append(section[at : at + size].decode("utf-16-le", "ignore"))
        at += size
    return "\n".join(found)


def jpeg(content: bytes) -> Iterator[str]:
    """The segments before the picture in which programs write who made it: EXIF, XMP, IPTC, a comment."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        marker, size = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if 0xE1 <= marker <= 0xEF or marker == 0xFE:
            yield content[at + 4 : at + 2 + size].decode("utf-8", "ignore")
        at += 2 + size
    raise Partly  # what is drawn on it nobody has read


def png(content: bytes) -> Iterator[str]:
    """The chunks that are text, and EXIF."""
    at = 8
    while at + 8 <= len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if name in (b"tEXt", b"iTXt", b"eXIf"):
            yield content[at + 8 : at + 8 + size].decode("utf-8", "ignore")
        at += 12 + size
    raise Partly


READERS: dict[str, Callable[[bytes], Iterator[str]]] = {
    "pdf": pdf,
    "docx": package,
    "xlsx": package,
    "pptx": package,
    "hwpx": package,
    "hwp": hwp,
    "jpeg": jpeg,
    "png": png,
}


def main() -> int:
    """The exit status."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, PROCESSOR_SECONDS)):
        with suppress(ValueError, OSError):  # a system that knows no such limit, or has a narrower one
            resource.setrlimit(limit, (most, most))
    out, left = sys.stdout.buffer, MOST_CHARACTERS
    try:
        for piece in READERS[sys.argv[1]](sys.stdin.buffer.read()):
            out.write(piece[:left].encode("utf-8", "ignore") + b"\n")
            left -= len(piece)
            if left <= 0:
                return PARTLY
    except Exception:  # a parser raises whatever a stranger's bytes lead it to
        return PARTLY
    finally:
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
