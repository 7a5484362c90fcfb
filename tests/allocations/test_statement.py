"""The statement: opening balance, every line with what was left after it, closing balance; on every page of it."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from allocations import periods
from allocations.models import Allocation, LedgerEntry
from allocations.selectors.balances import balance
from allocations.selectors.statement import statement
from allocations.services import adjusting, ending
from tests.allocations.conftest import Stage
from tests.allocations.test_adjusting import proposed, second
from tests.allocations.test_api import client
from tests.allocations.test_weights import announced

HOUR = 3600


def entered(allocation: Allocation, at: datetime, hours: float, kind: str = "hold", reason: str = "") -> None:
    """An entry of the past: the table refuses UPDATE, so the clock is set at the insert."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO allocations_ledgerentry (allocation_id, kind, device_seconds, reason, actor_label, at) "
            "VALUES (%s, %s, %s, %s, 'x', %s)",
            [allocation.pk, kind, round(hours * HOUR), reason, at],
        )


@pytest.fixture
def past(stage: Stage) -> Stage:
    """Ten hours held on each of the last twenty days, besides the award of now."""
    stage.proved = False
    for days in range(20, 0, -1):
        entered(stage.allocation, stage.now - timedelta(days=days), -10)
    return stage


def test_lines_name_people_and_keep_the_label_of_whoever_is_gone(stage: Stage) -> None:
    stage.book(1)
    entered(stage.allocation, timezone.now(), 0)
    page = page_of(stage).content.decode()
    lease = stage.allocation.leases.get()
    assert f"<td>{stage.cast.owner.name}</td>" in page and "<td>x</td>" in page
    rows = client(stage.cast.owner).get(f"/api/v1/allocations/{stage.allocation.public_id}/ledger/").data["results"]
    assert (stage.cast.owner.name, stage.cast.owner.email) in [(row["by"], row["actor_label"]) for row in rows]
    for url in (stage.allocation.get_absolute_url(), lease.get_absolute_url()):
        web = Client()
        web.force_login(stage.cast.owner)
        assert f"<td>{stage.cast.owner.name}</td>" in web.get(url).content.decode()


def page_of(stage: Stage, query: str = "", user: Any = None) -> Any:
    web = Client()
    web.force_login(user or stage.cast.owner)
    answer = web.get(reverse("allocations:ledger", args=[stage.allocation.public_id]) + query)
    assert answer.status_code == 200
    return answer


def test_opening_and_lines_are_closing_whatever_the_period(past: Stage) -> None:
    whole = statement(past.allocation)
    assert (whole.opening, whole.closing) == (0, balance(past.allocation).left)
    for first, last in ((25, 15), (15, 5), (5, -1), (30, 25), (-1, -2)):
        since, until = past.now - timedelta(days=first), past.now - timedelta(days=last)
        found = statement(past.allocation, since, until)
        moved = [line.device_seconds for line in found.lines]
        assert found.opening + sum(moved) == found.closing
        assert sum(row.total for row in found.sums) == sum(moved) and sum(row.lines for row in found.sums) == len(moved)
        assert found.opening == sum(
            LedgerEntry.objects.filter(allocation=past.allocation, at__lt=since).values_list(
                "device_seconds", flat=True
            )
        )


def test_each_line_brings_its_balance_along_on_every_page(past: Stage) -> None:
    since = past.now - timedelta(days=12, hours=1)
    found = statement(past.allocation, since)
    running = found.opening
    for line in found.lines:
        running += line.device_seconds
        assert line.balance == running  # type: ignore[attr-defined]
    assert running == found.closing
    alone = found.lines[7]  # a page begins in the middle
    assert alone.balance == found.opening - 8 * 10 * HOUR  # type: ignore[attr-defined]


def test_the_page_shows_the_balance_after_each_line_page_by_page(past: Stage) -> None:
    for days in range(60):
        entered(past.allocation, past.now - timedelta(days=30, minutes=days), -1)
    first, second_page = page_of(past), page_of(past, "?page=2")
    lines = [*first.context["lines"], *second_page.context["lines"]]
    running = 0
    for line in lines:
        running += line.device_seconds
        assert line.balance == running
    assert len(lines) == 81 and running == balance(past.allocation).left
    assert b"Opening balance" in first.content and b"Closing balance" not in first.content.split(b'id="lines"')[1]
    assert b"Closing balance" in second_page.content.split(b'id="lines"')[1]
    assert len(page_of(past, "?print=1").context["lines"]) == 81


def test_months_are_those_of_the_reader(stage: Stage) -> None:
    """A line of 23:30 UTC on the last of the month is the next month's in Seoul and this one's in New York."""
    stage.proved = False
    month = stage.now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    entered(stage.allocation, month - timedelta(minutes=30), -7, reason="on the edge")
    for zone, inside in (("Asia/Seoul", True), ("America/New_York", False)):
        with timezone.override(ZoneInfo(zone)):
            if timezone.localdate().month != month.month:
                continue  # these minutes of the month belong to two of them
            found = statement(stage.allocation, *periods.this_month())
            assert ("on the edge" in [line.reason for line in found.lines]) is inside
            before = statement(stage.allocation, *periods.last_month())
            assert ("on the edge" in [line.reason for line in before.lines]) is not inside
            assert before.closing == found.opening


@pytest.mark.parametrize(
    ("day", "first", "after"),
    [
        ("2026-02-28", "2026-02-01", "2026-03-01"),
        ("2028-02-29", "2028-02-01", "2028-03-01"),
        ("2026-12-31", "2026-12-01", "2027-01-01"),
    ],
)
def test_the_month_of_a_day(day: str, first: str, after: str) -> None:
    found = periods.month_of(datetime.fromisoformat(day).date())
    assert tuple(map(str, found)) == (first, after)


def test_days_of_the_reader_are_both_included(past: Stage) -> None:
    with timezone.override(ZoneInfo("Asia/Seoul")):
        last = timezone.localdate() - timedelta(days=3)
    asked = page_of(past, f"?period=days&from={last - timedelta(days=4)}&until={last}").context["statement"]
    assert len(asked.lines) == 5 and asked.opening - asked.closing == 50 * HOUR


@pytest.mark.parametrize(
    "query", ["?from=0001-01-01", "?until=9999-12-31", "?from=x", "?from=2026-02-02&until=2026-02-01"]
)
def test_a_wrong_period_is_said_at_its_field_and_the_whole_is_shown(past: Stage, query: str) -> None:
    answer = page_of(past, query)
    assert answer.context["form"].errors and len(answer.context["lines"]) == 21


def test_a_split_reservation_and_an_adjustment_are_read_in_words(stage: Stage) -> None:
    announced(stage, 1500, hours=2)
    lease = stage.book(1, start=1, hours=2)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    adjusting.confirm(actor=second(stage), adjustment=proposed(stage, -3, reason="a slip of ours"))
    text = page_of(stage).content.decode()
    assert lease.public_id in text and "1.500" in text and "cancelled before the start" in text
    assert "a slip of ours" in text and stage.cast.officer.name in text and "confirmed by" in text


def test_the_file_has_the_same_columns_and_an_opening_and_a_closing_row(past: Stage) -> None:
    past.allocation.ledger.create(kind="credit", device_seconds=5, reason='=HYPERLINK("http://x")', actor_label="@x")
    since = (past.now - timedelta(days=5)).date()
    answer = page_of(past, f"?from={since}&format=csv")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode().lstrip("\ufeff"))))
    head, opening, *lines, closing = rows
    assert head[:8] == ["Time", "Kind", "Reservation", "Reason", "Weight", "GPU-hours", "Balance, GPU-hours", "By"]
    assert opening[1] == "Opening balance" and closing[1] == "Closing balance"
    assert datetime.fromisoformat(lines[0][0]).tzinfo and datetime.fromisoformat(opening[0])
    assert lines[-1][3].startswith("'=") and lines[-1][7].startswith("'@")
    assert closing[6] == lines[-1][6]
    moved = sum(int(line[8]) for line in lines)
    shown = statement(past.allocation, datetime.fromisoformat(opening[0]))
    assert moved == shown.closing - shown.opening


def test_page_and_api_say_the_same_and_others_see_nothing(past: Stage) -> None:
    since = past.now - timedelta(days=10, hours=1)
    url = f"/api/v1/allocations/{past.allocation.public_id}/statement/"
    said = client(past.cast.owner).get(url, {"from": since.isoformat(), "page_size": 4, "page": 2}).json()
    found = statement(past.allocation, since)
    assert (said["opening"], said["closing"], said["count"]) == (found.opening, found.closing, 11)
    assert [line["balance"] for line in said["results"]] == [line.balance for line in found.lines[4:8]]  # type: ignore[attr-defined]
    assert {row["kind"]: row["total"] for row in said["sums"]} == {row.kind: row.total for row in found.sums}
    assert client(past.cast.outsider).get(url).status_code == 404
    wrong = client(past.cast.owner).get(url, {"from": since.isoformat(), "until": "2020-01-01T00:00:00Z"})
    assert wrong.status_code == 400


def test_it_takes_as_many_questions_for_a_hundred_lines_as_for_one(stage: Stage) -> None:
    stage.proved = False
    web = Client()
    web.force_login(stage.cast.owner)
    url = reverse("allocations:ledger", args=[stage.allocation.public_id])

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert web.get(url).status_code == 200
        return len(queries)

    asked()
    one = asked()
    for minutes in range(100):
        entered(stage.allocation, stage.now - timedelta(minutes=minutes), -1)
    for number in range(1, 4):
        stage.book(1, start=number)
    assert asked() == one
