"""The calendar: who sees what, the same figures on the page and in the API, and a drawing that holds its places."""

import re
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from allocations.selectors.occupancy import by_node, occupancy
from allocations.services import operating
from allocations.views.calendar import LABEL, WIDTH, _days, _midnight
from cluster.models import Device
from partners.models import Organisation
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.factories import AgreementFactory, AllocationFactory, ProjectFactory, make_cast

URL = reverse("allocations:calendar")


def page(user: Any, **query: Any) -> Any:
    web = Client()
    web.force_login(user)
    return web.get(URL, query)


def other_of(stage: Stage) -> Any:
    return Organisation.objects.get(memberships__user=stage.cast.outsider)


@pytest.fixture
def theirs(stage: Stage) -> Any:
    """A reservation of another organisation on the big node, four hours from two hours on."""
    other = other_of(stage)
    project = ProjectFactory(organisation=other, agreement=AgreementFactory(organisation=other))
    allocation = AllocationFactory(project=project, pool=stage.pool)
    return stage.book(5, start=2, hours=4, actor=stage.cast.outsider, allocation=allocation)


def test_a_partner_sees_its_own_by_number_and_of_others_only_that_it_is_taken(stage: Stage, theirs: Any) -> None:
    ours = stage.book(2, start=2, hours=2)
    seen = page(stage.cast.owner).content.decode()
    assert ours.public_id in seen
    assert theirs.public_id not in seen and other_of(stage).name not in seen
    rows = occupancy(stage.pool, stage.now, stage.now + timedelta(days=1), stage.cast.owner)
    kinds = [each.kind for row in rows for each in row.stretches]
    assert kinds.count("own") == 2 and kinds.count("taken") == 5
    assert all(not each.lease for row in rows for each in row.stretches if each.kind == "taken")


def test_staff_see_whose_it_is(stage: Stage, theirs: Any) -> None:
    seen = page(stage.cast.operator).content.decode()
    assert theirs.public_id in seen and other_of(stage).name in seen


def test_what_is_free_and_what_is_taken_fill_each_row(stage: Stage, theirs: Any) -> None:
    stage.book(2, start=9, hours=2)
    start, end = stage.now, stage.now + timedelta(days=1)
    operating.announce_maintenance(
        actor=stage.cast.operator,
        node=stage.small,
        starts_at=start + timedelta(hours=13),
        ends_at=start + timedelta(hours=15),
        reason="new fans",
    )
    Device.objects.filter(node=stage.big, index=7).update(health="fail")
    rows = occupancy(stage.pool, start, end, stage.cast.owner)
    assert [row.name for row in rows][:2] == [f"{row.node}/{row.index}" for row in rows[:2]]
    for row in rows:
        covered = sum(((each.end - each.start) for each in row.stretches), timedelta())
        assert covered + sum(((until - since) for since, until in row.free), timedelta()) == end - start, row.name
    ill = next(row for row in rows if row.node == stage.big.name and row.index == 7)
    assert [each.kind for each in ill.stretches] == ["out"] and not ill.free
    assert sum(each.kind == "maintenance" for row in rows for each in row.stretches) == 4


def test_a_node_row_counts_its_devices(stage: Stage, theirs: Any) -> None:
    start, end = stage.now, stage.now + timedelta(days=1)
    rows = by_node(occupancy(stage.pool, start, end, stage.cast.owner), start, end)
    assert [row.devices for row in rows] == [8, 4] or [row.devices for row in rows] == [4, 8]
    big = next(row for row in rows if row.node == stage.big.name)
    assert [(each.kind, each.taken) for each in big.stretches] == [("taken", 5)]
    assert [closes - opens for opens, closes in big.free] == [timedelta(hours=2), timedelta(hours=18)]


def test_the_queries_do_not_grow(stage: Stage, theirs: Any) -> None:
    web = Client()
    web.force_login(stage.cast.owner)
    web.get(URL)
    counts = []
    for turn in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert web.get(URL, {"view": "quarter", "rows": "nodes"}).status_code == 200
        counts.append(len(captured))
        for hour in range(20 if turn == 0 else 0):
            stage.book(1, start=30 + hour * 2, hours=1)
    assert counts[0] == counts[1] <= 15, counts


def test_the_api_says_the_same(stage: Stage, theirs: Any) -> None:
    ours = stage.book(2, start=2, hours=2)
    query = {
        "pool": stage.pool.name,
        "from": stage.now.isoformat(),
        "until": (stage.now + timedelta(days=1)).isoformat(),
        "rows": "nodes",
    }
    rows = client(stage.cast.owner).get("/api/v1/availability/calendar/", query).json()
    assert sorted((row["devices"], row["index"]) for row in rows) == [(4, None), (8, None)]
    said = [each for row in rows for each in row["stretches"]]
    assert {each["lease"] for each in said} == {"", ours.public_id}
    staff = client(stage.cast.operator).get("/api/v1/availability/calendar/", query).json()
    assert {each["lease"] for row in staff for each in row["stretches"]} == {theirs.public_id, ours.public_id}
    for wrong in ({"until": query["from"]}, {"until": "2099-01-01T00:00:00Z"}, {"rows": "x"}):
        assert client(stage.cast.owner).get("/api/v1/availability/calendar/", query | wrong).status_code == 400
    assert client(stage.cast.owner).get("/api/v1/availability/calendar/", query | {"pool": "no"}).status_code == 404


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_day_with_a_change_of_the_clock_is_as_wide_as_it_is_long(day: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    with timezone.override(zone):
        first = date.fromisoformat(day)
        days = _days(_midnight(first), _midnight(first + timedelta(days=7)))
    hours = 23 if first.month == 3 else 25
    whole = 6 * 24 + hours
    assert days[0].width == pytest.approx((WIDTH - LABEL) * hours / whole, abs=0.2)
    assert len(days) == 7 and days[-1].x + days[-1].width == pytest.approx(WIDTH, abs=0.3)


def test_bars_lie_inside_the_drawing_and_no_style_stands_in_the_page(stage: Stage, theirs: Any) -> None:
    seen = page(stage.cast.owner, view="week", rows="devices").content.decode()
    for x, width in re.findall(r'class="calendar-(?:own|taken)" x="([\d.]+)" y="\d+" width="([\d.]+)"', seen):
        assert float(x) >= LABEL and float(x) + float(width) <= WIDTH + 1.5
    assert "style=" not in seen


@pytest.mark.parametrize(
    "query",
    [
        {"day": "2026-13-99"},
        {"day": "1900-01-01"},
        {"view": "century"},
        {"rows": "racks"},
        {"pool": "pool-none"},
        {"page": "-3"},
        {"page": "99999999999999999999"},
        {"page": "²"},
    ],
)
def test_wrong_questions_are_answered_with_a_page(stage: Stage, query: dict[str, str]) -> None:
    assert page(stage.cast.owner, **query).status_code == 200


def test_without_a_pool_it_says_so(db: None) -> None:
    assert page(make_cast().owner).status_code == 200
