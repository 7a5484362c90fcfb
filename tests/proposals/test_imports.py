"""Proposals out of a spreadsheet: every bad row named, all or none brought in, once."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from audit.models import AuditEvent
from common.errors import Forbidden, RuleBroken
from notifications.models import Notification
from partners.models import Agreement
from proposals.models import Call, FastLane, Proposal, ProposalVersion, Question
from proposals.services import decisions, imports
from proposals.services.imports import ImportReport
from proposals.services.imports.columns import COLUMNS
from tests.factories import AgreementFactory
from tests.proposals.stage import Stage, browser, make_stage
from tests.proposals.test_api import api

HEADER = [column.ko for column in COLUMNS]
PAGE = "proposals:import"


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> None:
    """Kept files of one test only."""
    settings.MEDIA_ROOT = tmp_path


def row(stage: Stage, reference: str = "A-1", **changes: Any) -> list[Any]:
    """A row in order, in the order of the columns."""
    first = stage.today + timedelta(days=10)
    values: dict[str, Any] = {
        "reference": reference,
        "registration_number": stage.cast.organisation.shown_registration_number,
        "agreement_number": stage.cast.agreement.number,
        "title": "한국어 언어 모델",
        "purposes": "사전학습; evaluation",
        "plan": "학습합니다.",
        "gpu_class": "h100-sxm-80",
        "gpus": 8,
        "hours": 100,
        "window_from": first,
        "window_until": first + timedelta(days=20),
        "lead_email": stage.cast.teammate.email,
    }
    values |= changes
    return [values.get(column.key, "") for column in COLUMNS]


def csv_of(*rows: list[Any], encoding: str = "utf-8-sig", delimiter: str = ",") -> bytes:
    lines = (delimiter.join(f'"{value}"' for value in line) for line in (HEADER, *rows))
    return "\r\n".join(lines).encode(encoding)


def xlsx_of(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for line in (HEADER, *rows):
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bring(stage: Stage, content: bytes, *, dry_run: bool = False, actor: Any = None) -> ImportReport:
    return imports.import_proposals(
        actor=actor or stage.cast.officer, call=stage.call, file=io.BytesIO(content), size=len(content), dry_run=dry_run
    )


@pytest.mark.parametrize("kind", ["xlsx", "utf-8", "utf-8-sig", "cp949", "euc-kr", "utf-16", "semicolons"])
def test_a_file_of_any_kind_becomes_submitted_proposals(stage: Stage, kind: str) -> None:
    rows = [row(stage, "A-1"), row(stage, "A-2", title="둘째", submitted_at="2026-01-05 13:59:59")]
    content = {
        "xlsx": lambda: xlsx_of(*rows),
        "semicolons": lambda: csv_of(*rows, delimiter=";"),
    }.get(kind, lambda: csv_of(*rows, encoding=kind))()
    report = bring(stage, content)
    assert (report.problems, report.new, report.saved) == ((), 2, True)
    one, two = Proposal.objects.order_by("external_ref")
    assert (one.state, one.title, one.purposes, one.agreement) == (
        "submitted",
        "한국어 언어 모델",
        ["pretraining", "evaluation"],
        stage.cast.agreement,
    )
    assert int(str(two.number)[5:]) == int(str(one.number)[5:]) + 1
    assert (
        timezone.localtime(two.submitted_at, timezone.get_default_timezone()).isoformat() == "2026-01-05T13:59:59+09:00"
    )
    assert one.lines.get().gpus == 8 and one.team.get().user == stage.cast.teammate
    version = one.versions.get()
    assert version.is_whole and version.content["title"] == one.title
    assert AuditEvent.objects.filter(verb="proposal.import").count() == 2


def test_a_file_sent_twice_brings_nothing_in_twice(stage: Stage) -> None:
    bring(stage, csv_of(row(stage, "A-1")))
    again = bring(stage, csv_of(row(stage, "A-1"), row(stage, "A-2")))
    assert (again.new, again.known, Proposal.objects.count()) == (1, 1, 2)
    assert bring(stage, csv_of(row(stage, "A-1"))).new == 0


def test_rows_of_one_reference_are_lines_of_one_proposal(stage: Stage) -> None:
    more = row(stage, "A-1", title="", plan="", purposes="", gpus=16, registration_number="", agreement_number="")
    report = bring(stage, csv_of(row(stage, "A-1"), more))
    assert report.problems == () and [line.gpus for line in Proposal.objects.get().lines.all()] == [8, 16]
    other = bring(stage, csv_of(row(stage, "B-1"), row(stage, "B-1", title="Another")))
    assert [(problem.row, problem.column) for problem in other.problems] == [(3, "과제명")]


def test_answers_to_the_questions_of_the_call_are_read_by_their_heading(stage: Stage) -> None:
    def question(kind: str, ko: str, en: str, **more: Any) -> Question:
        fields = {"place": stage.call.questions.count(), "label_ko": ko, "label_en": en}
        return stage.call.questions.create(kind=kind, **fields, **more)

    asked = [
        question("text", "개인정보를 다룹니까?", "Do you handle personal data?", is_required=True),
        question("number", "매개변수(억)", "Parameters"),
        question("choice", "분야", "Field", choices_ko=["언어", "영상"], choices_en=["Language", "Vision"]),
        question("yes_no", "공개 예정", "To be published"),
        question("file", "증빙", "Proof", is_required=True),
    ]
    missing = refused(stage, csv_of(row(stage, "A-1")))
    assert missing.code == "columns_missing" and "개인정보를" in str(missing)
    heads = ["개인정보를 다룹니까?", asked[1].public_id, "FIELD", "공개예정"]
    wrong = bring(stage, sheet_of(heads, [*row(stage, "A-1"), "", "many", "Smell", "perhaps"]))
    assert [problem.column for problem in wrong.problems] == [column.label_ko for column in asked[:4]]
    report = bring(stage, sheet_of(heads, [*row(stage, "A-1"), "없음", "1,070.5", "Vision", "예"], row(stage, "A-1")))
    assert report.problems == () and report.ignored == () and report.lacking == ("증빙",)
    proposal = Proposal.objects.get()
    assert [answer.value for answer in proposal.answers.all()] == ["없음", Decimal("1070.5"), 1, True]
    kept = proposal.versions.get().content["answers"]
    assert [one["value"] for one in kept] == ["없음", "1070.5", {"ko": "영상", "en": "Vision"}, True]
    address = reverse("proposals:import-template") + f"?call={stage.call.public_id}&format=csv"
    template = b"".join(browser(stage.cast.officer).get(address).streaming_content).decode()
    assert "To be published" in template and "Proof" not in template


def test_files_that_a_list_cannot_bring_are_named_before_and_after(stage: Stage) -> None:
    fields = {"kind": "file", "label_ko": "사업 계획서", "label_en": "Business plan"}
    stage.call.questions.create(place=0, is_required=True, **fields)
    officer, file = browser(stage.cast.officer), SimpleUploadedFile("a.csv", csv_of(row(stage)))
    page = officer.post(reverse(PAGE), {"call": stage.call.public_id, "file": file}).content.decode()
    assert "files that a list cannot bring: Business plan." in page and 'name="token"' in page
    assert len(bring(stage, csv_of(row(stage))).lacking) == 1
    assert "Business plan" in Notification.objects.get(event="proposals_imported", recipient=stage.cast.owner).body
    proposal = Proposal.objects.get()
    shown = officer.get(proposal.get_absolute_url()).content.decode()
    assert 'id="unanswered"' in shown and "Business plan" in shown
    address = f"/api/v1/proposals/{proposal.public_id}/"
    (lacking,) = officer.get(address).json()["unanswered"]
    assert (lacking["kind"], lacking["label_en"]) == ("file", "Business plan")
    assert bring(stage, csv_of(row(stage))).lacking == ()  # nothing new in it
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="The plan, please.")
    again = browser(stage.cast.owner).get(reverse("proposals:edit-submit", args=[proposal.public_id])).content.decode()
    assert "Business plan" in again  # what is missing before it can be handed in again


def test_rounds_of_one_title_are_told_apart_wherever_a_call_is_chosen(stage: Stage) -> None:
    now = timezone.now()
    titles = {"title_ko": stage.call.title_ko, "title_en": stage.call.title_en, "blind": True}
    other = Call.objects.create(**titles, published_at=now - timedelta(days=400), closes_at=now - timedelta(days=300))
    last = timezone.localdate(other.closes_at, timezone.get_default_timezone()).isoformat()
    officer = browser(stage.cast.officer)
    for name in (PAGE, "proposals:prepared-list", "proposals:named-files"):
        page = officer.get(reverse(name)).content.decode()
        assert f"{last}, {other.public_id})" in page, name
    page = officer.get(reverse(PAGE)).content.decode()
    assert page.count(f"{stage.call.public_id})") == 2  # to import into, and to fetch the template of


def sheet_of(heads: list[str], *rows: list[Any]) -> bytes:
    lines = (",".join(f'"{value}"' for value in line) for line in ([*HEADER, *heads], *rows))
    return "\r\n".join(lines).encode()


def refused(stage: Stage, content: bytes) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        bring(stage, content)
    return caught.value


def test_owners_hear_once_of_what_was_brought_in_for_them(stage: Stage) -> None:
    bring(stage, csv_of(row(stage, "A-1"), row(stage, "A-2")), dry_run=True)
    assert not Notification.objects.filter(event="proposals_imported").exists()
    bring(stage, csv_of(row(stage, "A-1"), row(stage, "A-2")))
    told = Notification.objects.filter(event="proposals_imported")
    people = stage.cast.organisation.memberships.filter(role__in=("owner", "manager"))
    assert {note.recipient_id for note in told} == {row.user_id for row in people} and told.count() == people.count()
    numbers = Proposal.objects.values_list("number", flat=True)
    assert all(str(number) in note.body for number in numbers for note in told)
    bring(stage, csv_of(row(stage, "A-1")))
    assert told.count() == people.count()


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no reference": ({"reference": ""}, "접수번호", ""),
    "check digit": ({"registration_number": "123-45-67890"}, "사업자등록번호", ""),
    "no organisation": ({"registration_number": "220-81-62517"}, "사업자등록번호", ""),
    "no agreement": ({"agreement_number": "MOU-0"}, "협약번호", ""),
    "title": ({"title": "가" * 10_000}, "과제명", "200"),
    "purpose": ({"purposes": "세계 정복"}, "활용 목적", "세계 정복"),
    "plan": ({"plan": "x" * 20_001}, "수행 계획", ""),
    "class": ({"gpu_class": "b300"}, "GPU 종류", "h100-sxm-80"),
    "gpus": ({"gpus": "many"}, "GPU 수", ""),
    "smallest": ({"smallest_gpus": 9}, "최소 GPU 수", ""),
    "hours": ({"hours": 99_999}, "개당 시간", ""),
    "no day": ({"window_from": "2026-13-45"}, "사용 시작일", "2027-01-04"),
    "past": ({"window_from": "2020-01-01"}, "사용 시작일", ""),
    "order": ({"window_until": "2020-01-01"}, "사용 종료일", ""),
    "future": ({"submitted_at": "2999-01-01 00:00"}, "접수일시", ""),
    "mail": ({"lead_email": "kim"}, "책임자 이메일", ""),
    "ceiling": ({"gpus": 600}, "GPU 수", "512"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_with_column_value_and_remedy(stage: Stage, name: str) -> None:
    changes, column, words = BAD[name]
    with translation.override("ko"):
        report = bring(stage, csv_of(row(stage, "A-0"), row(stage, **changes)))
    problem = report.problems[0]
    assert (problem.row, problem.column) == (3, column)
    assert problem.message and problem.remedy and words in f"{problem.message} {problem.remedy}"
    assert str(next(iter(changes.values())))[:200] == problem.value or name in ("past", "order")
    assert not Proposal.objects.exists()


def test_a_dry_run_lists_every_bad_row_and_saves_nothing(stage: Stage) -> None:
    rows = [row(stage, f"A-{n}", gpus="x" if n % 2 else 4, hours="" if n % 4 == 1 else 10) for n in range(40)]
    report = bring(stage, csv_of(*rows), dry_run=True)
    assert report.bad_rows == 20 and len(report.problems) == 30
    assert [problem.row for problem in report.problems][:3] == [3, 3, 5]
    good = bring(stage, csv_of(row(stage)), dry_run=True)
    assert (good.problems, good.saved, Proposal.objects.count()) == ((), False, 0)


def test_an_agreement_of_another_organisation_is_named(stage: Stage) -> None:
    other = AgreementFactory()
    report = bring(stage, csv_of(row(stage, agreement_number=other.number)))
    assert report.problems[0].column == "협약번호"


def test_five_hundred_rows_take_as_many_statements_as_five(stage: Stage) -> None:
    def statements(count: int, start: int) -> int:
        content = xlsx_of(*(row(stage, f"R-{start + n}", gpus=1, hours=1) for n in range(count)))
        with CaptureQueriesContext(connection) as captured:
            assert bring(stage, content).new == count
        return len(captured)

    few = statements(5, 0)
    many = statements(500, 1_000)
    assert many <= few + 2 and many <= 40
    assert Proposal.objects.count() == 505 == len(set(Proposal.objects.values_list("number", flat=True)))
    assert ProposalVersion.objects.count() == 505


def bomb() -> bytes:
    out = io.BytesIO(xlsx_of())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", b"\x00" * (120 * 1024 * 1024))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"\x00\x01\x02\xff\xfe" * 50, "file_kind"),
        (b"PK\x03\x04" + b"\xff" * 100, "archive_broken"),
        ("접수번호,과제명\nA,B".encode(), "columns_missing"),
        (",".join([*HEADER, HEADER[0]]).encode(), "columns_twice"),
        (",".join(HEADER).encode(), "no_rows"),
        (b'"' + b"x" * 200_000, "file_kind"),
    ],
)
def test_what_is_no_spreadsheet_is_refused_whole(stage: Stage, content: bytes, code: str) -> None:
    with pytest.raises(RuleBroken) as caught:
        bring(stage, content)
    assert (caught.value.code, caught.value.field) == (code, "file")


def test_a_zip_bomb_and_an_entity_bomb_are_refused(stage: Stage) -> None:
    with pytest.raises(RuleBroken) as caught:
        bring(stage, bomb())
    assert caught.value.code == "archive_too_large"
    out, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(xlsx_of(row(stage))))
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><worksheet>&b;</worksheet>'
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, laughs if name.endswith("sheet1.xml") else source.read(name))
    with pytest.raises(RuleBroken) as caught:
        bring(stage, out.getvalue())
    assert caught.value.code == "file_broken"


def test_one_text_that_a_workbook_repeats_without_end_is_refused(stage: Stage) -> None:
    out, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(xlsx_of()))
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(2, 1_002))
    shared = (
        f"<sst xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><si><t>{'x' * 32_000}</t></si></sst>"
    )
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    named = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", shared)
        for name in source.namelist():
            part = source.read(name).decode().replace("</sheetData>", f"{rows}</sheetData>")
            archive.writestr(name, part.replace("</Types>", named))
    with pytest.raises(RuleBroken) as caught:
        bring(stage, out.getvalue())
    assert caught.value.code == "too_much_text"


def test_only_officers_import(stage: Stage) -> None:
    for who in ("owner", "operator", "reviewer", "auditor"):
        with pytest.raises(Forbidden):
            bring(stage, csv_of(row(stage)), actor=getattr(stage.cast, who))
        assert browser(getattr(stage.cast, who)).get(reverse(PAGE)).status_code == 404


def test_the_page_looks_first_and_brings_in_then(stage: Stage) -> None:
    client, address = browser(stage.cast.officer), reverse(PAGE)
    wrong = {"call": stage.call.public_id, "file": SimpleUploadedFile("a.csv", csv_of(row(stage, gpus="x")))}
    page = client.post(address, wrong).content.decode()
    assert "not a whole number" in page and "Nothing was saved" in page and 'name="token"' not in page
    right = {"call": stage.call.public_id, "file": SimpleUploadedFile("a.xlsx", xlsx_of(row(stage)))}
    page = client.post(address, right).content.decode()
    assert "Nothing is saved yet" in page and not Proposal.objects.exists()
    token = page.split('name="token" value="')[1].split('"')[0]
    assert client.post(address, {"token": token}).status_code == 302
    assert client.post(address, {"token": token}).status_code == 302  # nothing new in it
    assert Proposal.objects.count() == 1
    assert client.post(address, {"token": token[:-2] + "xx"}).status_code == 422
    with translation.override("en"):
        assert browser(stage.cast.administrator).post(address, {"token": token}).status_code == 422


def test_the_template_can_be_read_back(stage: Stage) -> None:
    client = browser(stage.cast.officer)
    for query in ("", "?format=csv"):
        answer = client.get(reverse("proposals:import-template") + query)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        report = bring(stage, content, dry_run=True)
        assert report.rows == 1 and report.ignored == () and "attachment" in answer["Content-Disposition"]


def test_the_api_and_the_command_do_the_same(stage: Stage, tmp_path: Path, capsys: Any) -> None:
    officer = api(stage.cast.officer)

    def send(*rows: list[Any], **more: Any) -> Any:
        body = {"call": stage.call.public_id, "file": SimpleUploadedFile("a.csv", csv_of(*rows)), **more}
        return officer.post("/api/v1/proposal-imports/", body, format="multipart")

    assert send(row(stage)).data["saved"] is False
    refused = send(row(stage, gpus="x"), dry_run="false")
    assert (refused.status_code, refused.data["code"], refused.data["facts"]["problems"][0]["row"]) == (
        422,
        "bad_rows",
        2,
    )
    assert send(row(stage), dry_run="false").status_code == 201
    assert api(stage.cast.owner).post("/api/v1/proposal-imports/", {}, format="multipart").status_code == 404
    file = tmp_path / "more.csv"
    file.write_bytes(csv_of(row(stage, "C-1"), encoding="cp949"))
    options = {"call": stage.call.public_id, "officer": stage.cast.officer.email}
    call_command("import_proposals", str(file), **options)
    assert "1 new" in capsys.readouterr().out and Proposal.objects.count() == 1
    call_command("import_proposals", str(file), save=True, **options)
    assert Proposal.objects.count() == 2
    file.write_bytes(csv_of(row(stage, "D-1", gpus="x")))
    with pytest.raises(CommandError):
        call_command("import_proposals", str(file), **options)


def test_what_an_agreement_has_given_away_already_counts(stage: Stage) -> None:
    Agreement.objects.update(ceiling_gpu_seconds=900 * 3600)
    stage.awarded()  # 400 GPU-hours
    report = bring(stage, csv_of(row(stage)))
    assert report.problems[0].column == "개당 시간"


@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_two_imports_of_one_file_at_once_bring_it_in_once() -> None:
    stage = make_stage()
    content = csv_of(*(row(stage, f"A-{n}") for n in range(5)))

    def once(_turn: int) -> int:
        try:
            return bring(stage, content).new
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        brought = sorted(pool.map(once, range(2)))
    assert brought == [0, 5] and Proposal.objects.count() == 5


def test_what_the_call_asks_of_whoever_proposes_and_of_how_much_holds_for_a_file(stage: Stage) -> None:
    call = stage.call
    call.sizes, call.most_proposals, call.largest_gpu_seconds = ["small"], 1, 500 * 3600
    call.save()
    columns = [problem.column for problem in bring(stage, csv_of(row(stage, "A-1"), row(stage, "A-2"))).problems]
    assert sorted(columns) == ["개당 시간"] * 2 + ["사업자등록번호"] * 3
    stage.cast.organisation.size = "small"
    stage.cast.organisation.save()
    assert bring(stage, csv_of(row(stage, "A-1", gpus=4))).saved
    again = bring(stage, csv_of(row(stage, "A-1", gpus=4), row(stage, "A-2", gpus=4)))
    assert [problem.row for problem in again.problems] == [3]


def test_small_asks_of_a_file_take_the_fast_lane(stage: Stage) -> None:
    stage.call.fast_lane, stage.call.fast_lane_gpu_seconds = "officer", 500 * 3600
    stage.call.save()
    bring(stage, csv_of(row(stage, "A-1", gpus=4), row(stage, "A-2")))
    assert list(FastLane.objects.values_list("proposal__external_ref", "outcome")) == [("A-1", "officer")]
