"""The inbox: one's own only, unread first, reading marks as read."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications.models import Notification
from notifications.services import notify
from tests.audit.test_pages import signed_in
from tests.factories import Cast
from tests.queries import MOST_A_PAGE, queries_of


def tell(user: object, subject: str, url: str = "") -> Notification:
    return Notification.objects.create(recipient=user, event="test", subject=subject, body="What happened.", url=url)


def test_unread_come_first_and_are_told_apart(cast: Cast) -> None:
    old, new = tell(cast.owner, "Old and unread"), tell(cast.owner, "New and read")
    client = signed_in(cast.owner)
    client.get(new.get_absolute_url())
    page = client.get(reverse("notifications:inbox"))
    assert [note.pk for note in page.context["page_obj"]] == [old.pk, new.pk]
    assert page.content.decode().count('visually-hidden">Unread:') == 1
    assert "1 unread notice" in page.content.decode()
    for number in range(40):
        tell(cast.owner, f"Note {number}")
    assert len(queries_of(lambda: client.get(reverse("notifications:inbox")))) <= MOST_A_PAGE
    assert client.get(reverse("notifications:inbox"), {"page": "99"}).status_code == 200


def test_opening_marks_as_read_and_leads_on(cast: Cast) -> None:
    client = signed_in(cast.owner)
    linked, plain = tell(cast.owner, "Linked", "/account/"), tell(cast.owner, "Plain")
    foreign = tell(cast.owner, "Foreign", "//evil.example/")
    assert client.get(linked.get_absolute_url()).url == "/account/"
    assert "What happened." in client.get(plain.get_absolute_url()).content.decode()
    assert client.get(foreign.get_absolute_url()).status_code == 200
    assert not Notification.objects.filter(read_at=None).exists()


def test_mark_all_read_leaves_those_of_others(cast: Cast) -> None:
    tell(cast.owner, "Mine")
    tell(cast.teammate, "Theirs")
    client = signed_in(cast.owner)
    assert client.get(reverse("notifications:mark-all-read")).status_code == 405
    client.post(reverse("notifications:mark-all-read"))
    assert Notification.objects.filter(read_at=None).get().recipient == cast.teammate


@pytest.mark.parametrize("name", ["teammate", "outsider", "officer", "auditor", "administrator"])
def test_notices_of_others_do_not_exist(cast: Cast, name: str) -> None:
    note, client = tell(cast.owner, "Private"), signed_in(getattr(cast, name))
    assert client.get(note.get_absolute_url()).status_code == 404
    assert "Private" not in client.get(reverse("notifications:inbox")).content.decode()
    assert client.get("/api/v1/notifications/").json()["count"] == 0
    assert client.post(f"/api/v1/notifications/{note.public_id}/mark-read/").status_code == 404
    assert Notification.objects.get().read_at is None
    assert Client().get(note.get_absolute_url()).status_code == 302


def test_api_lists_and_marks(cast: Cast) -> None:
    first, _second = tell(cast.viewer, "One"), tell(cast.viewer, "Two")
    client = signed_in(cast.viewer)
    done = client.post(f"/api/v1/notifications/{first.public_id}/mark-read/").json()
    assert done["read_at"]
    assert client.post(f"/api/v1/notifications/{first.public_id}/mark-read/").json()["read_at"] == done["read_at"]
    unread = client.get("/api/v1/notifications/", {"unread": "true"}).json()
    assert [row["subject"] for row in unread["results"]] == ["Two"]
    assert client.post("/api/v1/notifications/mark-all-read/").status_code == 204
    assert client.get("/api/v1/notifications/", {"unread": "true"}).json()["count"] == 0


def test_notice_is_in_the_readers_language_and_once(cast: Cast) -> None:
    cast.owner.language = "ko"
    cast.owner.save(update_fields=["language"])
    with transaction.atomic():
        notify(
            recipients=[cast.owner, cast.owner], event="member_removed", context={"organisation": "Upstage"}, url="/"
        )
    note = Notification.objects.get()
    assert note.subject
    assert note.recipient == cast.owner


def test_what_people_typed_stands_in_mail_as_they_typed_it(cast: Cast) -> None:
    typed = "Kim's <first> “model” & more"
    with transaction.atomic():
        notify(recipients=[cast.owner], event="member_removed", context={"organisation": typed}, url="/")
    note = Notification.objects.get()
    assert typed in note.subject + note.body
    page = signed_in(cast.owner).get("/inbox/").content.decode()
    assert "<first>" not in page
    assert "&lt;first&gt;" in page


@pytest.mark.parametrize("template", sorted(Path("templates/notifications").glob("*.txt")), ids=lambda path: path.stem)
def test_no_text_escapes_or_loses_its_subject(cast: Cast, template: Path) -> None:
    text = template.read_text()
    context: dict[str, Any] = dict.fromkeys(re.findall(r"[{][{] *(\w+)", text), "Kim's <first>")
    context |= dict.fromkeys(re.findall(r"count \w+=(\w+)", text), 3)
    context |= dict.fromkeys(re.findall(r"=(\w+)[|]moment", text), timezone.now())
    cast.owner.language = "ko"
    cast.owner.save(update_fields=["language"])
    with transaction.atomic():
        notify(recipients=[cast.owner], event=template.stem, context=context, url="/")
    note = Notification.objects.get()
    assert note.subject and note.body
    assert "&" not in note.subject + note.body
    assert re.search("[가-힣]", note.subject), "every mail speaks Korean to a Korean reader"
