"""What can be read of a document, and that a process of its own does it."""

import io
import struct
import zipfile
import zlib

import pytest
from pypdf import PdfWriter

from common.documents import text_of
from common.documents.child import MOST_CHARACTERS


def pdf(text: str = "", **metadata: str) -> bytes:
    """One page with a line of Latin text, and metadata."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += b"%d 0 obj%s\nendobj\n" % (number, part)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    made = PdfWriter(clone_from=io.BytesIO(body + tail % (rows, len(body))))
    made.add_metadata({f"/{name}": value for name, value in metadata.items()})
    out = io.BytesIO()
    made.write(out)
    return out.getvalue()


def package(**entries: str) -> bytes:
    """An office file; `__` in a name stands for a slash."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        for name, content in entries.items():
            archive.writestr(f"{name.replace('__', '/')}.xml", content)
    return out.getvalue()


def docx(body: str, creator: str = "") -> bytes:
    """A Word document of these runs, one paragraph."""
    runs = "".join(f"<w:r><w:rPr><w:b/></w:rPr><w:t>{run}</w:t></w:r>" for run in body.split("|"))
    core = f'<c:p xmlns:c="c" xmlns:d="d"><d:title>x</d:title><d:creator>{creator}</d:creator></c:p>'
    return package(word__document=f'<w:d xmlns:w="w"><w:p>{runs}</w:p></w:d>', docProps__core=core)


def hwp(paragraph: str, *, flags: int = 1) -> bytes:
    """A compound file [MS-CFB] with the two streams of a Hangul document that matter here."""
    text = paragraph.encode("utf-16-le")
    engine = zlib.compressobj(wbits=-15)
    section = engine.compress(struct.pack("<I", len(text) << 20 | 67) + text) + engine.flush()
    head = b"HWP Document File".ljust(36, b"\x00") + struct.pack("<I", flags)
    free, end, fat = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD

    def entry(name: str, kind: int, *, left: int = free, child: int = free, at: int = end, size: int = 0) -> bytes:
        label = (name + "\x00").encode("utf-16-le")
        row = label.ljust(64, b"\x00") + struct.pack("<HBBIII", len(label), kind, 1, left, free, child)
        return row + b"\x00" * 36 + struct.pack("<IQ", at, size)

    chains = [fat, end, *range(3, 10), end, *range(11, 18), end]
    header = bytes.fromhex("d0cf11e0a1b11ae1") + b"\x00" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += b"\x00" * 6 + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0)
    folder = entry("Root Entry", 5, child=1) + entry("FileHeader", 2, left=2, at=2, size=4096)
    folder += entry("BodyText", 1, child=3) + entry("Section0", 2, at=10, size=4096)
    sectors = struct.pack("<128I", *chains, *[free] * (128 - len(chains))) + folder
    return (
        header + struct.pack("<109I", 0, *[free] * 108) + sectors + head.ljust(4096, b"\0") + section.ljust(4096, b"\0")
    )


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("pdf", pdf("Solar of Upstage", Author="업스테이지"), ("Solar of Upstage", "업스테이지")),
        ("docx", docx("업스|테이지의 계획", "Kim Minji"), ("업스테이지의 계획", "Kim Minji")),
        ("hwp", hwp("업스테이지의 계획"), ("업스테이지의 계획",)),
    ],
)
def test_text_and_metadata_are_read(kind: str, content: bytes, words: tuple[str, ...]) -> None:
    read = text_of(content, kind)
    assert read.whole and all(word in read.text for word in words)


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("pdf", pdf("", Author="Upstage"), "Upstage"),  # a scan: its metadata alone
        ("pdf", b"%PDF-1.7 and nothing more", ""),
        ("hwp", hwp("업스테이지", flags=3), ""),  # locked with a password
        ("png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0etEXtAuthor\x00Upstage\x00\x00\x00\x00", "Upstage"),
        ("docx", docx("x" * (MOST_CHARACTERS + 1)), "xxx"),
    ],
)
def test_what_was_not_read_whole_says_so(kind: str, content: bytes, words: str) -> None:
    read = text_of(content, kind)
    assert not read.whole and words in read.text and len(read.text) <= MOST_CHARACTERS + 10
