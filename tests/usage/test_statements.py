"""A month is closed once for everybody: numbered, signed, chained, and provable from the hours."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import translation

from allocations.models import Lease, UsageMark
from allocations.services.usage import deciding
from allocations.services.usage.correcting import correct
from common.actors import RECONCILER
from common.errors import Forbidden, WrongState
from common.signatures import Purpose, fits, read_keys, succeed
from notifications.models import Notification
from tests.allocations.test_api import client as api_of
from tests.allocations.test_views import sign_in
from tests.allocations.usage.measuring import BUSY, HOUR, held, measured
from tests.factories import AllocationFactory, Cast, PoolFactory, make_cast, make_node
from tests.factories.allocations import rival_award
from usage.models import Statement
from usage.services.statements import close_due, close_month, verify

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
MIDNIGHT = datetime(2026, 10, 31, 15, tzinfo=UTC)
"""The end of October in Seoul."""


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def lease(cast: Cast) -> Lease:
    """From four hours before the end of October to four hours after it, its first hour used; a rival's beside it."""
    allocation = AllocationFactory(project=cast.project, pool=PoolFactory())
    own, rivals = list(make_node(allocation.pool, 2).devices.all())
    times = {"start": MIDNIGHT - 4 * HOUR, "end": MIDNIGHT + 4 * HOUR}
    lease = held([own], **times, allocation=allocation, booked_by=cast.owner)
    held([rivals], **times, allocation=rival_award(cast, allocation.pool))
    measured(own, MIDNIGHT - 4 * HOUR, 60, **BUSY)
    settle(MIDNIGHT + 6 * HOUR)
    return lease


def settle(now: datetime) -> None:
    deciding.decide(MIDNIGHT + 6 * HOUR)
    for name in ("decided", "revised"):
        UsageMark.objects.update_or_create(name=name, defaults={"done_until": now})


def closed(month: date = OCTOBER, hours: int = 30) -> list[Statement]:
    close_month(actor=RECONCILER, month=month, now=MIDNIGHT + hours * HOUR)
    return list(Statement.objects.filter(month=month).order_by("number"))


def test_a_month_is_closed_a_day_after_its_end_once_for_everybody(cast: Cast, lease: Lease) -> None:
    assert close_due(actor=RECONCILER, now=MIDNIGHT + 23 * HOUR) == 0
    assert close_due(actor=RECONCILER, now=MIDNIGHT + 25 * HOUR) == 2
    assert close_due(actor=RECONCILER, now=MIDNIGHT + 26 * HOUR) == 0
    first, second = Statement.objects.order_by("number")
    assert (first.number, second.number) == ("BG-2026-10-0001", "BG-2026-10-0002")
    mine = Statement.objects.visible_to(cast.owner).get()
    assert (mine.held_seconds, mine.used_seconds) == (4 * 3600, 3600)
    said = mine.document
    assert [row["id"] for row in said["leases"]] == [lease.public_id]
    assert [(row["id"], row["held_seconds"]) for row in said["days"]] == [("2026-10-31", 4 * 3600)]
    assert second.document["previous"] == {"number": first.number, "sha256": first.sha256}
    assert mine.number in Notification.objects.get(event="statement_closed", recipient=cast.owner).subject
    assert list(verify()) == []


def test_a_month_with_undecided_hours_is_not_closed(cast: Cast, lease: Lease) -> None:
    with pytest.raises(WrongState, match="decided"):
        closed(NOVEMBER)
    with pytest.raises(Forbidden):
        close_month(actor=cast.owner, month=OCTOBER, now=MIDNIGHT + 30 * HOUR)


def test_what_is_corrected_later_stands_in_the_next_statement(cast: Cast, lease: Lease) -> None:
    closed()
    ask = {"starts_at": MIDNIGHT - 2 * HOUR, "ends_at": MIDNIGHT - HOUR, "to_class": "fault", "reason": "the fabric"}
    (entry,) = correct(actor=cast.officer, lease=lease, device=None, **ask)
    assert list(verify()) == [], "what was closed is proved by what was known then"
    settle(MIDNIGHT + 31 * 24 * HOUR)
    closed(NOVEMBER, 32 * 24)
    said = Statement.objects.visible_to(cast.owner).get(month=NOVEMBER).document
    assert [(row["id"], row["to"], row["seconds"]) for row in said["corrections"]] == [(entry.public_id, "fault", 3600)]
    assert said["totals"]["fault_seconds"] == 0 and said["totals"]["held_seconds"] == 4 * 3600
    assert list(verify()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("text = replace(text, '\"used_seconds\":3600', '\"used_seconds\":7200')", "SHA-256"),
        ("previous_sha256 = 'x'", "follow the statement before"),
        ("signature = 'AAAA'", "signature does not fit"),
        ("last_correction = 0", None),
    ],
)
def test_whatever_is_altered_is_found(lease: Lease, change: str, what: str | None) -> None:
    closed()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        _sql(f"UPDATE usage_statement SET {change}")
    _sql("SET CONSTRAINTS ALL IMMEDIATE")
    _sql("ALTER TABLE usage_statement DISABLE TRIGGER append_only")
    _sql(f"UPDATE usage_statement SET {change} WHERE number = 'BG-2026-10-0001'")
    _sql("ALTER TABLE usage_statement ENABLE TRIGGER append_only")
    faults = [str(fault) for fault in verify()]
    assert any(what in fault for fault in faults) if what else not faults
    if what:
        with pytest.raises(CommandError):
            call_command("verify_statements", stderr=open("/dev/null", "w"))  # noqa: SIM115, PTH123


def test_statements_are_proved_after_the_key_has_changed_and_by_no_other_purpose(lease: Lease, settings: Any) -> None:
    row, old = closed()[0], settings.NODE_SIGNING_KEY
    assert fits(row.public_key, Purpose.STATEMENT, row.text, row.signature)
    assert not any(fits(row.public_key, each, row.text, row.signature) for each in Purpose if each != Purpose.STATEMENT)
    words = succeed([base64.b64encode(old).decode()], Ed25519PrivateKey.generate().private_bytes_raw(), endorsed=True)
    settings.NODE_SIGNING_KEY, settings.EARLIER_SIGNING_KEYS = read_keys(words)
    assert list(verify()) == []
    settings.EARLIER_SIGNING_KEYS = ()
    assert {fault.what for fault in verify()} == {"it was signed with another key than this portal's"}


def test_the_last_statement_cannot_be_left_out(lease: Lease) -> None:
    closed()
    last = Statement.objects.order_by("id").last()
    _sql("SET CONSTRAINTS ALL IMMEDIATE")
    _sql("ALTER TABLE usage_statement DISABLE TRIGGER append_only")
    _sql(f"DELETE FROM usage_statement WHERE id = {last.pk}")
    _sql("ALTER TABLE usage_statement ENABLE TRIGGER append_only")
    assert [fault.number for fault in verify()] == [last.number]


def _sql(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def test_page_file_and_api_say_the_same_to_those_who_may_read(cast: Cast, lease: Lease) -> None:
    closed()
    row = Statement.objects.visible_to(cast.owner).get()
    page = sign_in(cast.viewer).get(row.get_absolute_url() + "?language=ko").content.decode()
    assert row.sha256 in page and lease.public_id in page
    assert "보유" in page
    assert sign_in(cast.outsider).get(row.get_absolute_url()).status_code == 404
    lines = b"".join(sign_in(cast.owner).get(row.get_absolute_url() + "?format=csv")).decode().splitlines()  # type: ignore[arg-type]
    assert lines[1].startswith("total,BG-2026-10-000") and ",4.00,1.00," in lines[1]
    sent = sign_in(cast.owner).get(row.get_absolute_url() + "file.json")
    assert "no-store" in sent["Cache-Control"]
    file = json.loads(sent.content)
    told = api_of(cast.owner).get(f"/api/v1/statements/{row.public_id}/").data
    assert file["document"] == told["document"] == row.document and told["text"] == row.text
    assert api_of(cast.owner).get("/api/v1/statements/").data["count"] == 1
    assert api_of(cast.officer).get("/api/v1/statements/").data["count"] == 2


def test_sums_are_shown_by_whatever_one_asks_for(cast: Cast, lease: Lease) -> None:
    days = "since=2026-10-31&until=2026-11-01"
    for by, name in (("project", cast.project.title), ("lease", lease.public_id), ("person", str(cast.owner))):
        (row,) = sign_in(cast.owner).get(f"/usage/?by={by}&{days}").context["rows"]
        assert (row.name, row.sums.held_seconds, row.sums.used_seconds) == (name, 8 * 3600, 3600)
    both = sign_in(cast.officer).get(f"/usage/?by=organisation&{days}").context
    assert len(both["rows"]) == 2 and both["answer"].total.held_seconds == 16 * 3600
    (one,) = sign_in(cast.officer).get(f"/usage/?by=call&{days}").context["rows"]
    assert (one.name, one.sums.held_seconds) == ("–", 16 * 3600), "these projects came from no call"
    (own,) = [api_of(cast.owner).get(f"/api/v1/allocations/{lease.allocation.public_id}/usage/").data]
    assert (own["held_seconds"], own["used_seconds"]) == (8 * 3600, 3600)
    assert 'id="use"' in sign_in(cast.owner).get(lease.allocation.get_absolute_url()).content.decode()
    told: Any = api_of(cast.owner).get(f"/api/v1/usage/?by=pool&{days}").data
    assert [row["held_seconds"] for row in told["rows"]] == [8 * 3600] and told["total"]["used_seconds"] == 3600
    assert api_of(cast.owner).get(f"/api/v1/usage/?by=organisation&{days}").status_code == 400
    lines = b"".join(sign_in(cast.owner).get(f"/usage/?by=pool&{days}&format=csv")).decode().splitlines()  # type: ignore[arg-type]
    assert len(lines) == 2 and ",8.00,1.00," in lines[1]
