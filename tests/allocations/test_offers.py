"""Find me a slot: every answer passes the rules, and the best of them come first."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from allocations.models import Lease
from allocations.selectors.bookable import bookable_allocations
from allocations.selectors.offers import Wish, find_slots
from allocations.services import booking
from allocations.shapes import ANY, Shape
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node

HOUR = timedelta(hours=1)


def wish(stage: Stage, count: int, smallest: int | None = None, **changes: Any) -> Wish:
    earliest = (stage.now + HOUR).replace(second=0, microsecond=0)
    facts = {"duration": 2 * HOUR, "earliest": earliest, "latest": earliest + 48 * HOUR, **changes}
    return Wish(count, smallest or count, **facts)


def found(stage: Stage, asked: Wish) -> list[Any]:
    return find_slots(bookable_allocations(stage.cast.owner), asked, stage.now)


def test_every_answer_can_be_booked_just_so(stage: Stage) -> None:
    asked = wish(stage, 10, 2)
    stage.book(9, start=1, hours=3)
    slots = found(stage, asked)
    assert len(slots) == 2
    assert [slot.fewer for slot in slots] == sorted(slot.fewer for slot in slots)
    assert slots[0].count == 10 and slots[0].start > asked.earliest
    assert slots[-1].count == 3 and slots[-1].start == asked.earliest, "what is left beside the nine"
    for slot in slots:
        savepoint = booking.book(
            actor=stage.cast.owner,
            allocation=slot.allocation,
            device_count=slot.count,
            starts_at=slot.start,
            ends_at=slot.end,
            shape=slot.shape,
        )
        assert savepoint.placements.count() == slot.count
        assert {share.node: share.taken for share in slot.shares} == _by_node(savepoint)
        savepoint.placements.update(released=True)
        Lease.objects.filter(pk=savepoint.pk).update(state="cancelled")
    stage.proved = False  # taken back past the services


def _by_node(lease: Lease) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in lease.placements.select_related("node"):
        counts[row.node.name] = counts.get(row.node.name, 0) + 1
    return counts


def test_what_is_free_at_once_is_said_to_be_exactly_that(stage: Stage) -> None:
    first = found(stage, wish(stage, 4))[0]
    assert (first.fewer, first.delay, first.reshaped) == (0, timedelta(), False)
    assert [(share.node, share.whole) for share in first.shares] == [(stage.small.name, True)]


def test_a_shape_is_kept_and_given_up_only_where_that_is_said(stage: Stage) -> None:
    stage.book(3, start=1, hours=6)
    slots = found(stage, wish(stage, 9, shape=Shape("same_node")))
    assert slots and all(slot.reshaped and slot.shape == ANY for slot in slots), "no node has nine"
    slots = found(stage, wish(stage, 8, shape=Shape("same_node")))
    assert not slots[0].reshaped and [share.node for share in slots[0].shares] == [stage.big.name]


def test_the_last_window_that_is_done_in_time(stage: Stage) -> None:
    asked = wish(stage, 4, late=True)
    slot = found(stage, asked)[0]
    assert slot.end == asked.latest and not slot.delay


def test_ones_own_ceiling_moves_the_answer(stage: Stage) -> None:
    stage.allocation.concurrent_gpus = 4
    stage.allocation.save()
    stage.book(3, start=1, hours=5)
    slot = found(stage, wish(stage, 2))[0]
    assert slot.start >= stage.now + 6 * HOUR, "three run already, and four is the most"


@pytest.mark.parametrize("change", ["balance", "term", "state"])
def test_nothing_is_offered_that_a_rule_would_refuse(stage: Stage, change: str) -> None:
    asked = wish(stage, 4)
    if change == "balance":
        stage.allocation.ledger.create(kind="expiry", device_seconds=-10_000 * 3600 + 4 * 7199, actor_label="x")
    elif change == "term":
        type(stage.allocation).objects.filter(pk=stage.allocation.pk).update(valid_until=asked.earliest + HOUR)
    else:
        type(stage.allocation).objects.filter(pk=stage.allocation.pk).update(state="suspended")
    assert found(stage, asked) == []


def test_of_several_awards_the_one_that_is_sooner_comes_first(stage: Stage) -> None:
    pool = PoolFactory(gpu_class=stage.allocation.pool.gpu_class)
    make_node(pool, devices=8)
    other = AllocationFactory(project=stage.cast.project, pool=pool)
    stage.book(9, start=1, hours=3)
    slots = found(stage, wish(stage, 8))
    assert slots[0].allocation == other and not slots[0].delay
    assert any(slot.allocation == stage.allocation for slot in slots)


def test_the_questions_do_not_grow_with_the_bookings(stage: Stage) -> None:
    counts = []
    for turn in range(2):
        with CaptureQueriesContext(connection) as captured:
            found(stage, wish(stage, 3))
        counts.append(len(captured))
        for hour in range(12):
            if turn == 0:
                stage.book(2, start=30 + hour, hours=1)
    assert counts[1] <= counts[0] + 4 and counts[1] < 40, counts


def test_the_api_gives_the_same_answers_and_none_of_others(stage: Stage) -> None:
    asked = wish(stage, 4)
    query = {
        "gpus": 4,
        "duration_seconds": 7200,
        "from": asked.earliest.isoformat(),
        "until": asked.latest.isoformat(),
        "allocation": stage.allocation.public_id,
    }
    answer = client(stage.cast.owner).get("/api/v1/availability/slots/", query)
    assert answer.status_code == 200, answer.content
    assert parse_datetime(answer.json()[0]["starts_at"]) == asked.earliest
    assert answer.json()[0]["nodes"] == [{"node": stage.small.name, "taken": 4, "free": 4, "size": 4}]
    assert client(stage.cast.outsider).get("/api/v1/availability/slots/", query).json() == []
    for wrong in ({"gpus": 0}, {"smallest": 5}, {"duration_seconds": 10}, {"until": query["from"]}, {"shape": "x"}):
        assert client(stage.cast.owner).get("/api/v1/availability/slots/", query | wrong).status_code == 400


def test_the_page_leads_to_the_form_with_everything_filled_in(stage: Stage) -> None:
    web = Client()
    web.force_login(stage.cast.owner)
    query = {"where": stage.allocation.public_id, "device_count": 4, "length": 2, "unit": "3600"}
    page = web.get(reverse("allocations:find"), query | {"shape": "nodes", "shape_nodes": 2})
    assert page.status_code == 200
    answer = page.context["answers"][0]
    form = web.get(answer["url"])
    assert form.status_code == 200
    assert form.context["form"].initial["shape_nodes"] == "2"
    assert len(form.context["check"]["shares"]) == 2


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"where": "alloc-none"}, "where"),
        ({"shape": "nodes"}, "shape_nodes"),
        ({"smallest": 9}, "smallest"),
        ({"length": 9000}, "length"),
        ({"earliest": "2026-13-45"}, "earliest"),
        ({"latest": "2020-01-01T00:00"}, "latest"),
    ],
)
def test_what_is_typed_wrong_is_said_and_kept(stage: Stage, typed: dict[str, Any], field: str) -> None:
    web = Client()
    web.force_login(stage.cast.owner)
    query = {"where": stage.allocation.public_id, "device_count": 4, "length": 2, "unit": "3600"} | typed
    page = web.get(reverse("allocations:find"), query)
    assert page.status_code == 200 and field in page.context["form"].errors
    assert page.context["answers"] is None


def test_who_has_nothing_to_book_is_told_so(db: None) -> None:
    web = Client()
    web.force_login(make_cast().owner)
    assert web.get(reverse("allocations:find")).context["nothing_to_book"]
