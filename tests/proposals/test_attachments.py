"""Files: what they are by their bytes, how large they may grow, who gets them."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from audit.models import AuditEvent
from common.archives import Bounds, UnsafeArchive, check_archive
from common.errors import RuleBroken, WrongState
from proposals.models import Attachment, Proposal
from proposals.services import attachments as verbs
from proposals.services import decisions, drafting
from proposals.services.sniffing import shown_name
from tests.proposals.stage import Stage, browser

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 32
HWP = bytes.fromhex("d0cf11e0a1b11ae1") + b"\x00" * 600 + b"HWP Document File" + b"\x00" * 100
OLD_DOC = bytes.fromhex("d0cf11e0a1b11ae1") + b"\x00" * 600 + b"WordDocument"
KOREAN = "연구 계획서.pdf"


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    """Files of one test only."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


def archive(**entries: bytes) -> bytes:
    """A ZIP; `__` in a name stands for a slash."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name.replace("__", "/").replace("TYPES", "[Content_Types].xml"), content)
    return out.getvalue()


DOCX = archive(TYPES=b"<Types/>", word__document=b"<w/>")
XLSX = archive(TYPES=b"<Types/>", xl__workbook=b"<w/>")
PPTX = archive(TYPES=b"<Types/>", ppt__presentation=b"<w/>")
HWPX = archive(mimetype=b"application/hwp+zip", Contents__header=b"<h/>")
MACRO = archive(TYPES=b"<Types/>", word__document=b"<w/>", **{"word/vbaProject.bin": b"x"})


def bomb(megabytes: int = 200) -> bytes:
    """A Word document of a few hundred kilobytes that unpacks to hundreds of megabytes of nothing."""
    return archive(TYPES=b"<Types/>", word__document=b"\x00" * (megabytes * 1024 * 1024))


def lying(content: bytes) -> bytes:
    """The same, with every declared size set to one byte."""
    data = bytearray(content)
    for magic, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.find(magic)
        while place >= 0:
            struct.pack_into("<I", data, place + at, 1)
            place = data.find(magic, place + 4)
    return bytes(data)


def attach(stage: Stage, proposal: Proposal, name: str = "plan.pdf", content: bytes = PDF) -> Attachment:
    upload = SimpleUploadedFile(name, content, content_type="application/pdf")
    return verbs.attach(actor=stage.cast.owner, proposal=proposal, upload=upload)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (KOREAN, PDF, "pdf"),
        ("a.PNG", PNG, "png"),
        ("a.jpeg", JPEG, "jpeg"),
        ("a.jpg", JPEG, "jpeg"),
        ("한글.hwp", HWP, "hwp"),
        ("한글.hwpx", HWPX, "hwpx"),
        ("a.docx", DOCX, "docx"),
        ("a.xlsx", XLSX, "xlsx"),
        ("a.pptx", PPTX, "pptx"),
    ],
)
def test_what_a_file_is_is_read_from_its_bytes(stage: Stage, name: str, content: bytes, kind: str) -> None:
    row = attach(stage, stage.draft(), name, content)
    assert (row.kind, row.name, row.size_bytes) == (kind, name, len(content))
    assert AuditEvent.objects.filter(verb="proposal.attach").exists()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("plan.pdf", PNG, "file_name_lies"),
        ("plan.pdf", b"<script>alert(1)</script>", "file_kind"),
        ("plan.pdf", b"MZ\x90\x00" + b"\x00" * 100, "file_kind"),
        ("plan.html", PDF, "file_name_lies"),
        ("plan", PDF, "file_name_lies"),
        ("old.doc", OLD_DOC, "file_kind"),
        ("plan.zip", archive(a=b"x"), "file_kind"),
        ("plan.docx", MACRO, "file_macros"),
        ("plan.docx", DOCX[:-30], "archive_broken"),
        ("plan.docx", b"PK\x03\x04" + b"\xff" * 200, "archive_broken"),
        ("plan.pdf", b"", "file_empty"),
    ],
)
def test_what_is_not_taken_is_refused_with_its_reason(stage: Stage, name: str, content: bytes, code: str) -> None:
    draft = stage.draft()
    with pytest.raises(RuleBroken) as caught:
        attach(stage, draft, name, content)
    assert caught.value.code == code and caught.value.field == "file"
    assert not Attachment.objects.exists()


def test_zip_bombs_are_refused_by_what_they_declare_and_by_what_they_are(stage: Stage) -> None:
    draft, honest = stage.draft(), bomb()
    assert len(honest) < 1024 * 1024
    with pytest.raises(RuleBroken) as caught:
        attach(stage, draft, "plan.docx", honest)
    assert caught.value.code == "archive_too_large"
    with pytest.raises(RuleBroken) as caught:
        attach(stage, draft, "plan.docx", lying(honest))
    assert caught.value.code.startswith("archive_")


def test_an_archive_is_bounded_in_parts_and_density() -> None:
    with pytest.raises(UnsafeArchive) as caught:
        check_archive(io.BytesIO(archive(a=b"1", b=b"2", c=b"3")), Bounds(entries=2))
    assert caught.value.reason == "too_many"
    directory = b"".join(b"PK\x01\x02" + b"\x00" * 42 for _one in range(6_000))  # and an end that tells of none
    with pytest.raises(UnsafeArchive) as caught:
        check_archive(io.BytesIO(archive(a=b"1")[:-22] + directory + b"PK\x05\x06" + b"\x00" * 18), Bounds())
    assert caught.value.reason == "too_many"
    with pytest.raises(UnsafeArchive) as caught:
        check_archive(io.BytesIO(archive(a=b"\x00" * 200_000)), Bounds(dense_from=1_000))
    assert caught.value.reason == "too_dense"


def test_a_file_lies_outside_the_web_root_under_a_name_of_ours(stage: Stage, media: Path) -> None:
    row = attach(stage, stage.draft(), "../../etc/연구.pdf")
    path = Path(row.file.path)
    assert path.is_relative_to(media) and path.name.startswith(row.public_id) and row.name == "연구.pdf"
    assert not Path(django_settings.MEDIA_ROOT).is_relative_to(django_settings.STATIC_ROOT)


def test_names_are_composed_and_bounded() -> None:
    assert shown_name("\u1112\u1161\u11ab\u1100\u1173\u11af.pdf") == "한글.pdf"
    assert shown_name("a\u202egpj.pdf") == "agpj.pdf"
    assert len(shown_name("가" * 300 + ".pdf")) <= 200 and shown_name("가" * 300 + ".pdf").endswith(".pdf")


def test_a_download_is_an_attachment_with_its_korean_name_for_those_who_may(stage: Stage) -> None:
    proposal = stage.draft()
    row = attach(stage, proposal, KOREAN)
    address = reverse("proposals:attachment", args=[row.public_id])
    for who, status in (("viewer", 200), ("outsider", 404), ("officer", 404), ("reviewer", 404)):
        assert browser(getattr(stage.cast, who)).get(address).status_code == status
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    answer = browser(stage.cast.officer).get(address)
    assert b"".join(answer.streaming_content) == PDF
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''%EC%97%B0")
    assert (answer["X-Content-Type-Options"], answer["Content-Type"]) == ("nosniff", "application/pdf")


def test_a_file_is_removable_until_submitted_and_a_version_keeps_what_it_had(stage: Stage) -> None:
    proposal = stage.draft()
    gone, kept = attach(stage, proposal), attach(stage, proposal, "b.png", PNG)
    verbs.remove(actor=stage.cast.owner, attachment=gone)
    with pytest.raises(WrongState):
        verbs.remove(actor=stage.cast.owner, attachment=gone)
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    with pytest.raises(WrongState):
        verbs.remove(actor=stage.cast.owner, attachment=kept)
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="x")
    verbs.remove(actor=stage.cast.owner, attachment=kept)
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    first, second = proposal.versions.order_by("version")
    assert [row["name"] for row in first.content["attachments"]] == ["b.png"]
    assert list(first.attachments.all()) == [kept] and second.content["attachments"] == []
    client = browser(stage.cast.officer)
    assert client.get(reverse("proposals:attachment", args=[kept.public_id])).status_code == 200
    assert client.get(reverse("proposals:attachment", args=[gone.public_id])).status_code == 404
    changes = client.get(reverse("proposals:changes", args=[proposal.public_id])).content.decode()
    assert "b.png" in changes and "<del>" in changes


def test_the_same_file_twice_and_too_many_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    proposal = stage.draft()
    attach(stage, proposal)
    with pytest.raises(RuleBroken) as caught:
        attach(stage, proposal, "again.pdf")
    assert caught.value.code == "file_twice"
    monkeypatch.setattr(verbs, "MOST_FILES", 1)
    with pytest.raises(RuleBroken) as caught:
        attach(stage, proposal, "b.png", PNG)
    assert caught.value.code == "too_many_files"


def test_too_large_a_file_is_refused(stage: Stage, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 20
    with pytest.raises(RuleBroken) as caught:
        attach(stage, stage.draft())
    assert caught.value.code == "file_too_large"


def test_the_pages_upload_answer_and_remove(stage: Stage) -> None:
    asked = stage.call.questions.create(place=0, kind="file", label_ko="동의서", label_en="Consent", is_required=True)
    draft, client = stage.draft(), browser(stage.cast.owner)
    files, questions = (
        reverse(f"proposals:edit-{name}", args=[draft.public_id]) for name in ("attachments", "questions")
    )
    sent = client.post(files, {"file": SimpleUploadedFile(KOREAN, PDF), "action": "save"}, follow=True)
    assert KOREAN in sent.content.decode()
    wrong = client.post(files, {"file": SimpleUploadedFile("x.pdf", PNG), "action": "save"})
    assert wrong.status_code == 422 and "what is in it is: PNG picture" in wrong.content.decode()
    for content in (PDF + b"1", PDF + b"2"):
        client.post(questions, {asked.public_id: SimpleUploadedFile("동의서.pdf", content), "action": "save"})
    answer = draft.answers.get()
    assert answer.file is not None and answer.file.size_bytes == len(PDF) + 1
    assert draft.attachments.filter(removed_at=None).count() == 2
    removed = client.post(reverse("proposals:attachment-remove", args=[answer.file.public_id]))
    assert removed.url == questions and not draft.answers.exists()
    assert (
        browser(stage.cast.viewer)
        .post(reverse("proposals:attachment-remove", args=[draft.attachments.filter(removed_at=None)[0].public_id]))
        .status_code
        == 302
    )
    assert draft.attachments.filter(removed_at=None).count() == 1
