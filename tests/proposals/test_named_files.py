"""Names in files of blind calls: partners are asked to keep them out, officers see where they stand all the same."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

from audit.models import AuditEvent
from proposals.models import Attachment, Proposal
from proposals.services import attachments, decisions, drafting, searching
from tests.common.test_documents import docx, pdf
from tests.proposals.stage import Stage, browser

ASKED = "What is in your files nobody can blot out."


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def blind(stage: Stage) -> None:
    stage.call.blind = True
    stage.call.save()


def handed_in(stage: Stage, *files: tuple[str, bytes]) -> Proposal:
    draft = stage.draft()
    for name, content in files:
        attachments.attach(actor=stage.cast.owner, proposal=draft, upload=SimpleUploadedFile(name, content))
    return drafting.submit(actor=stage.cast.owner, proposal=draft)


def test_partners_of_a_blind_call_are_asked_to_keep_names_out(stage: Stage) -> None:
    draft, owner = stage.draft(), browser(stage.cast.owner)
    pages = [stage.call.get_absolute_url()]
    pages += [reverse(f"proposals:edit-{step}", args=[draft.public_id]) for step in ("attachments", "submit")]
    assert not any(ASKED in owner.get(page).content.decode() for page in pages)
    blind(stage)
    assert all(ASKED in owner.get(page).content.decode() for page in pages)


def test_officers_see_which_files_name_whoever_proposes(stage: Stage) -> None:
    blind(stage)
    number = stage.cast.organisation.shown_registration_number
    proposal = handed_in(
        stage,
        ("named.pdf", pdf("Solar", Author=f"{stage.cast.organisation.name_ko} ({number})")),
        ("clear.docx", docx("Nobody is named.")),
        ("scan.pdf", pdf("")),
    )
    officer, address = browser(stage.cast.officer), reverse("proposals:named-files")
    assert "not looked at yet" in officer.get(address).content.decode()
    assert searching.search_waiting() == 3 and searching.search_waiting() == 0
    found = {row.name: (row.search, row.names_found) for row in Attachment.objects.all()}
    assert found["named.pdf"] == ("named", [stage.cast.organisation.name_ko, number])
    assert (found["clear.docx"][0], found["scan.pdf"][0]) == ("clear", "unread")
    assert AuditEvent.objects.filter(verb="attachment.search").count() == 3
    for result, name in (("named", "named.pdf"), ("unread", "scan.pdf"), ("clear", "clear.docx")):
        rows = officer.get(address, {"call": stage.call.public_id, "result": result}).context["object_list"]
        assert [row.name for row in rows] == [name]
    assert (
        f"names found: <bdi>{stage.cast.organisation.name_ko}"
        in officer.get(proposal.get_absolute_url()).content.decode()
    )
    api = APIClient()
    api.force_authenticate(stage.cast.officer)
    rows = api.get("/api/v1/named-files/", {"result": "named"}).json()["results"]
    assert [(row["name"], row["search"]) for row in rows] == [("named.pdf", "named")]
    partner = APIClient()
    partner.force_authenticate(stage.cast.owner)
    assert partner.get("/api/v1/named-files/").status_code == 404
    assert partner.get(f"/api/v1/attachments/{rows[0]['id']}/").json()["names_found"] == []


def test_a_file_is_searched_again_when_it_is_handed_in_again(stage: Stage) -> None:
    blind(stage)
    proposal = handed_in(stage, ("plan.docx", docx("By Kim Minji.")))
    searching.search_waiting()
    assert Attachment.objects.get().search == "clear"
    proposal = decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="Name your team.")
    proposal.team.create(place=0, name="Kim Minji", part="lead")
    proposal.reply = "Named."
    proposal.save()
    drafting.submit(actor=stage.cast.owner, proposal=proposal)
    assert Attachment.objects.get().search == "waiting" and searching.search_waiting() == 1
    assert Attachment.objects.get().names_found == ["Kim Minji"]


def test_files_of_a_call_that_is_not_blind_are_left_alone(stage: Stage) -> None:
    handed_in(stage, ("plan.docx", docx("Upstage")))
    assert searching.search_waiting() == 0
