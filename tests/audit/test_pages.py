"""The record as auditors read it; for others it does not exist."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent
from audit.services import record, seal
from tests.factories import Cast
from tests.queries import MOST_A_PAGE, queries_of

EVENTS = "/staff/audit/"
READERS = ("auditor", "administrator")
OTHERS = ("owner", "manager", "teammate", "viewer", "outsider", "reviewer", "officer", "operator")


def signed_in(user: object) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def events(cast: Cast) -> list[AuditEvent]:
    """Three events: two sealed, one waiting; the first with a value that would be markup."""
    with transaction.atomic():
        first = record(
            actor=cast.officer,
            verb="agreement.activate",
            target=cast.agreement,
            changes={"state": ["draft", "active"], "note": "<script>alert(1)</script>"},
        )
        second = record(actor=cast.owner, verb="ssh_key.add", target=cast.owner, changes={"name": "laptop"})
        seal()
        third = record(actor=cast.owner, verb="ssh_key.remove", target=cast.owner, changes={})
    return [first, second, third]


@pytest.mark.parametrize("name", READERS)
def test_readers_see_everything_readably(cast: Cast, events: list[AuditEvent], name: str) -> None:
    client = signed_in(getattr(cast, name))
    page = client.get(reverse("audit:events")).content.decode()
    assert "draft → active" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("not sealed yet") == 1
    assert len(queries_of(lambda: client.get(EVENTS))) <= MOST_A_PAGE
    assert client.get("/api/v1/audit/").json()["count"] == 3


@pytest.mark.parametrize("name", OTHERS)
def test_for_others_it_does_not_exist(cast: Cast, events: list[AuditEvent], name: str) -> None:
    client = signed_in(getattr(cast, name))
    assert client.get(EVENTS).status_code == 404
    assert client.get(EVENTS, {"format": "csv"}).status_code == 404
    assert client.post(reverse("audit:verify")).status_code == 404
    assert client.get("/api/v1/audit/").status_code == 404
    assert client.get(f"/api/v1/audit/{events[0].pk}/").status_code == 404


def test_nobody_signed_in_is_sent_to_sign_in(db: None) -> None:
    assert reverse("account_login") in Client().get(EVENTS).url
    assert reverse("account_login") in Client().post(reverse("audit:verify")).url
    assert Client().get("/api/v1/audit/").status_code == 401


def test_page_and_api_filter_alike(cast: Cast, events: list[AuditEvent]) -> None:
    client = signed_in(cast.auditor)
    today = timezone.localdate()
    later = (today + timedelta(days=1)).isoformat()
    for ask, count in (
        ({"actor": "owner@"}, 2),
        ({"verb": "ssh_key."}, 2),
        ({"target": cast.agreement.public_id}, 1),
        ({"from": today.isoformat(), "until": today.isoformat()}, 3),
        ({"from": later}, 0),
        ({"from": "0001-01-01", "until": "9999-12-31"}, 3),
        ({"until": (today - timedelta(days=1)).isoformat()}, 0),
    ):
        assert len(client.get(EVENTS, ask).context["object_list"]) == count, ask
        assert client.get("/api/v1/audit/", ask).json()["count"] == count, ask
    assert client.get("/api/v1/audit/", {"from": "yesterday"}).status_code == 400


def test_page_sorts_and_exports(cast: Cast, events: list[AuditEvent]) -> None:
    client = signed_in(cast.auditor)
    rows = client.get(EVENTS, {"sort": "verb"}).context["object_list"]
    assert [event.verb for event in rows] == ["agreement.activate", "ssh_key.add", "ssh_key.remove"]
    text = b"".join(client.get(EVENTS, {"format": "csv", "verb": "ssh_key"}).streaming_content).decode()
    assert text.count("\n") == 3
    assert '"{""name"": ""laptop""}"' in text


def test_api_reads_only(cast: Cast, events: list[AuditEvent]) -> None:
    client = signed_in(cast.administrator)
    one = client.get(f"/api/v1/audit/{events[0].pk}/").json()
    assert (one["position"], len(one["digest"]), one["actor_label"]) == (1, 64, cast.officer.email)
    waiting = client.get(f"/api/v1/audit/{events[2].pk}/").json()
    assert waiting["position"] is waiting["digest"] is None
    for method in (client.post, client.put, client.patch, client.delete):
        assert method(f"/api/v1/audit/{events[0].pk}/").status_code == 405


def test_button_tells_whether_the_chain_is_whole(cast: Cast, events: list[AuditEvent]) -> None:
    client = signed_in(cast.auditor)
    page = client.post(reverse("audit:verify"), follow=True).content.decode()
    assert "2 sealed events were checked. 1 event is not sealed yet." in page
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_auditevent SET verb = 'other' WHERE id = %s", [events[1].pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")
    page = client.post(reverse("audit:verify"), follow=True).content.decode()
    assert f"event {events[1].pk} at position 2 was altered" in page
    assert client.get(reverse("audit:verify")).status_code == 405
