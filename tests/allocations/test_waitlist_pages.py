"""The wait-list in the browser and in the API: the same verbs, places for everybody, names for the agency only."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from allocations.models import Allocation, WaitEntry
from allocations.services import ending, serving
from cluster.models import Pool
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.allocations.waiting import HOUR, full, join, owner_of, rival, serve
from tests.factories import UserFactory
from tests.queries import MOST_A_PAGE, queries_of


def web(user: Any) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def typed(stage: Stage, **changes: Any) -> dict[str, Any]:
    earliest = timezone.localtime(stage.now + HOUR)
    facts = {
        "device_count": 4,
        "length": 120,
        "unit": "60",
        "earliest": earliest.strftime("%Y-%m-%dT%H:%M"),
        "latest": (earliest + 4 * HOUR).strftime("%Y-%m-%dT%H:%M"),
        "note": "fine-tuning",
    }
    return facts | changes


def test_a_refused_booking_leads_to_the_wait_list_with_that_ask(stage: Stage) -> None:
    full(stage)
    page = web(stage.cast.owner)
    book = reverse("allocations:book", args=[stage.allocation.public_id])
    asked = {"device_count": 12, "starts_at": typed(stage)["earliest"], "length": "14400", "note": "fine-tuning"}
    refused = page.post(book, asked)
    assert refused.status_code == 422 and b'id="join-wait-list"' in refused.content
    form = page.get(refused.context["wait_url"]).context["form"]
    assert (form.initial["device_count"], form.initial["length"], form.initial["unit"]) == ("12", "4", "3600")
    assert form.initial["earliest"] == asked["starts_at"] and form.initial["note"] == "fine-tuning"
    check = page.get(reverse("allocations:book-check", args=[stage.allocation.public_id]), asked)
    assert check.context["check"]["wait_url"] in check.content.decode().replace("&amp;", "&")


def test_where_no_slot_is_found_the_wait_list_is_a_click_away(stage: Stage) -> None:
    full(stage)
    page = web(stage.cast.owner)
    asked = typed(stage, where=stage.allocation.public_id, length=2, unit="3600", smallest=2)
    found = page.get(reverse("allocations:find"), asked)
    ((allocation, url),) = found.context["waits"]
    assert allocation == stage.allocation and url.replace("&", "&amp;") in found.content.decode()
    form = page.get(url).context["form"]
    assert (form.initial["smallest"], form.initial["latest"]) == ("2", asked["latest"])


def test_joining_seeing_ones_place_and_leaving(stage: Stage) -> None:
    full(stage)
    join(stage, rival(stage), 7)
    page = web(stage.cast.owner)
    address = reverse("allocations:wait", args=[stage.allocation.public_id])
    done = page.post(address, typed(stage), follow=True)
    assert done.status_code == 200 and done.redirect_chain[0][0].startswith(reverse("allocations:waitlist"))
    entry = WaitEntry.objects.get(allocation=stage.allocation)
    assert (entry.device_count, entry.smallest, entry.duration, entry.note) == (4, 4, 2 * HOUR, "fine-tuning")
    assert b'data-place="2"' in done.content
    (queue,) = done.context["queues"]
    assert [(row.place, row.device_count, row.own) for row in queue.rows] == [(1, 7, False), (2, 4, True)]
    gone = page.post(reverse("allocations:waitlist-leave", args=[entry.public_id]), follow=True)
    assert gone.status_code == 200 and gone.context["over"][0].state == "left"


def test_a_refusal_stays_on_the_form_with_what_was_typed(stage: Stage) -> None:
    page, address = web(stage.cast.owner), reverse("allocations:wait", args=[stage.allocation.public_id])
    refused = page.post(address, typed(stage))
    assert refused.status_code == 422 and "fine-tuning" in refused.content.decode(), "it is free now"
    for wrong in ({"latest": "2020-01-01T00:00"}, {"smallest": 9}, {"length": ""}, {"unit": "x"}):
        assert page.post(address, typed(stage, **wrong)).status_code == 422
    assert not WaitEntry.objects.exists()


def test_an_offer_is_accepted_from_its_page_once_however_often_the_button_is_pressed(stage: Stage) -> None:
    entry = offered(stage)
    page, lease = web(entry.asked_by), entry.lease
    assert lease is not None
    shown = page.get(lease.get_absolute_url())
    accept = reverse("allocations:lease-accept", args=[lease.public_id])
    assert b'id="offer"' in shown.content and accept.encode() in shown.content
    key = page.get(accept).context["submission_key"]
    for _press in range(2):
        done = page.post(accept, {"submission": key})
        assert done.status_code == 302 and done["Location"] == lease.get_absolute_url()
    lease.refresh_from_db()
    assert lease.state == "scheduled"
    late = page.post(accept)
    assert late.status_code == 422


@pytest.mark.parametrize(("stay", "state"), [("1", "waiting"), ("", "left")])
def test_an_offer_is_declined_from_its_page(stage: Stage, stay: str, state: str) -> None:
    entry = offered(stage)
    assert entry.lease is not None
    decline = reverse("allocations:lease-decline", args=[entry.lease.public_id])
    assert web(entry.asked_by).post(decline, {"stay": stay}).status_code == 302
    entry.refresh_from_db()
    assert entry.state == state


def offered(stage: Stage) -> WaitEntry:
    lease = full(stage)
    entry = join(stage, rival(stage))
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    entry.refresh_from_db()
    return entry


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_page_reads_well_in_both_languages(stage: Stage, language: str) -> None:
    lease = full(stage)
    waiting, entry = join(stage, rival(stage), 12), join(stage, rival(stage), 4)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    WaitEntry.objects.filter(pk=waiting.pk).update(obstacle="balance", missed=1)
    serving.serve(timezone.now())
    entry.refresh_from_db()
    assert entry.lease is not None
    asker = entry.asked_by
    names = {
        reverse("allocations:waitlist"): asker,
        reverse("allocations:wait", args=[entry.allocation.public_id]): asker,
        reverse("allocations:waitlist-leave", args=[entry.public_id]): asker,
        reverse("allocations:lease-accept", args=[entry.lease.public_id]): asker,
        reverse("allocations:lease-decline", args=[entry.lease.public_id]): asker,
        entry.lease.get_absolute_url(): asker,
        entry.allocation.get_absolute_url(): asker,
        reverse("home"): asker,
        reverse("allocations:staff-waitlist"): stage.cast.officer,
        reverse("allocations:waitlist-remove", args=[entry.public_id]): stage.cast.officer,
        reverse("allocations:allocation-priority", args=[entry.allocation.public_id]): stage.cast.officer,
        reverse("allocations:pool-offers", args=[stage.pool.public_id]): stage.cast.officer,
        reverse("reports:pools"): stage.cast.officer,
    }
    for address, user in names.items():
        type(user).objects.filter(pk=user.pk).update(language=language)
        page = web(type(user).objects.get(pk=user.pk)).get(address)
        assert page.status_code == 200, address
        text = page.content.decode()
        assert ("대기" in text or "제안" in text) == (language == "ko"), address


def test_others_are_told_sizes_and_no_names(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage), 7)
    organisation = entry.allocation.project.organisation
    for address in (reverse("allocations:waitlist"), "/api/v1/waitlist/", "/api/v1/waitlist/queues/"):
        text = web(stage.cast.owner).get(address).content.decode()
        for secret in (organisation.name_ko, organisation.name_en, entry.public_id, entry.allocation.project.title):
            assert secret not in text, address
    assert client(stage.cast.owner).get("/api/v1/waitlist/").json()["count"] == 0
    (queue,) = client(stage.cast.owner).get("/api/v1/waitlist/queues/").json()
    sizes = {"device_count": 7, "profile": "", "smallest": 7, "duration_seconds": 7200}
    assert queue["waiting"] == [{"place": 1, **sizes, "own": False}]
    stranger = web(UserFactory()).get(reverse("allocations:waitlist"))
    assert stranger.status_code == 200 and stranger.context["queues"] == []


def test_the_agency_sees_names_in_the_published_order_and_removes_with_a_reason(stage: Stage) -> None:
    full(stage)
    first, second = join(stage, rival(stage)), join(stage, rival(stage, priority=3))
    page, address = web(stage.cast.officer), reverse("allocations:staff-waitlist")
    shown = page.get(address)
    assert [(row.pk, row.place) for row in shown.context["object_list"]] == [(second.pk, 1), (first.pk, 2)]
    assert first.allocation.project.organisation.name in shown.content.decode()
    lines = b"".join(page.get(address + "?format=csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert lines.count("\n") == 3 and first.public_id in lines
    assert len(page.get(address, {"state": "offered"}).context["object_list"]) == 0
    removal = reverse("allocations:waitlist-remove", args=[first.public_id])
    assert page.post(removal, {"reason": ""}).status_code == 422
    assert page.post(removal, {"reason": "twice"}).status_code == 302
    first.refresh_from_db()
    assert (first.state, first.state_reason) == ("dropped", "twice")
    assert web(stage.cast.operator).post(removal, {"reason": "x"}).status_code == 422


def test_officers_set_priority_and_hold_on_their_pages(stage: Stage) -> None:
    page = web(stage.cast.officer)
    priority = reverse("allocations:allocation-priority", args=[stage.allocation.public_id])
    assert page.post(priority, {"priority": 101, "reason": "x"}).status_code == 422
    assert page.post(priority, {"priority": 7, "reason": "x"}).status_code == 302
    assert Allocation.objects.get(pk=stage.allocation.pk).priority == 7
    hold = reverse("allocations:pool-offers", args=[stage.pool.public_id])
    assert page.post(hold, {"minutes": 5, "reason": "x"}).status_code == 422
    assert page.post(hold, {"minutes": 90, "reason": "x"}).status_code == 302
    assert Pool.objects.get(pk=stage.pool.pk).offer_hold_seconds == 5400
    assert web(stage.cast.auditor).post(hold, {"minutes": 60, "reason": "x"}).status_code == 422


def test_the_api_joins_shows_the_place_and_answers(stage: Stage) -> None:
    lease = full(stage)
    api = client(stage.cast.owner)
    asked = {
        "allocation": stage.allocation.public_id,
        "gpus": 4,
        "smallest": 2,
        "duration_seconds": 7200,
        "from": (stage.now + HOUR).isoformat(),
        "until": (stage.now + 4 * HOUR).isoformat(),
    }
    parts = api.post("/api/v1/waitlist/", asked | {"profile": "1g.10gb"}, format="json")
    assert parts.json()["code"] == "profile", parts.content
    made = api.post("/api/v1/waitlist/", asked, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["place"] == {"place": 1, "of": 1} and made.json()["state"] == "waiting"
    again = api.post("/api/v1/waitlist/", asked, format="json")
    assert again.status_code == 422 and again.json()["code"] == "already_waiting"
    assert client(stage.cast.outsider).post("/api/v1/waitlist/", asked, format="json").status_code == 404
    assert client(stage.cast.viewer).post("/api/v1/waitlist/", asked, format="json").status_code == 403
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    entry = api.get(f"/api/v1/waitlist/{made.json()['id']}/").json()
    assert (entry["state"], entry["place"]) == ("offered", None) and entry["offer_until"]
    url = f"/api/v1/leases/{entry['lease']}/"
    assert api.get(url).json()["offer_until"] == entry["offer_until"]
    assert client(stage.cast.outsider).post(url + "accept/").status_code == 404
    assert client(stage.cast.officer).post(url + "accept/").status_code == 403
    assert api.post(url + "accept/").json()["state"] == "scheduled"
    late = api.post(url + "decline/")
    assert late.status_code == 409, late.content


def test_the_api_declines_leaves_removes_and_prioritises(stage: Stage) -> None:
    entry = offered(stage)
    assert entry.lease is not None
    mine, officer = client(owner_of(entry.allocation)), client(stage.cast.officer)
    assert mine.post(f"/api/v1/leases/{entry.lease.public_id}/decline/").json()["end_reason"] == "declined"
    url = f"/api/v1/waitlist/{entry.public_id}/"
    assert mine.post(url + "remove/", {"reason": "x"}).status_code == 403
    assert mine.post(url + "leave/").json()["state"] == "left"
    assert mine.post(url + "leave/").status_code == 409
    full(stage)
    other = join(stage, entry.allocation)
    assert officer.post(f"/api/v1/waitlist/{other.public_id}/remove/", {"reason": "x"}).json()["state"] == "dropped"
    award = f"/api/v1/allocations/{entry.allocation.public_id}/prioritise/"
    assert mine.post(award, {"priority": 1, "reason": "x"}).status_code == 403
    assert officer.post(award, {"priority": 1, "reason": "x"}).json()["priority"] == 1
    hold = f"/api/v1/pools/{stage.pool.public_id}/hold-offers/"
    assert officer.post(hold, {"seconds": 3600, "reason": "x"}).json()["offer_hold_seconds"] == 3600
    assert mine.post(hold, {"seconds": 3600, "reason": "x"}).status_code == 404


@pytest.mark.parametrize("field", ["gpus", "smallest", "duration_seconds", "from", "until", "allocation", "shape"])
@pytest.mark.parametrize("value", [None, "x", -1, []])
def test_nonsense_is_refused_as_such(stage: Stage, field: str, value: Any) -> None:
    asked = {
        "allocation": stage.allocation.public_id,
        "gpus": 4,
        "duration_seconds": 7200,
        "from": stage.now.isoformat(),
        "until": (stage.now + 4 * HOUR).isoformat(),
    }
    answer = client(stage.cast.owner).post("/api/v1/waitlist/", {**asked, field: value}, format="json")
    assert answer.status_code in (400, 404), answer.content


@pytest.mark.parametrize("many", [1, 30])
def test_lists_cost_the_same_however_many_wait(stage: Stage, many: int) -> None:
    full(stage)
    award = rival(stage)
    for _turn in range(many):
        join(stage, rival(stage))
    join(stage, award)
    for user, address in (
        (owner_of(award), reverse("allocations:waitlist")),
        (stage.cast.officer, reverse("allocations:staff-waitlist")),
    ):
        page = web(user)
        assert len(queries_of(lambda page=page, address=address: page.get(address))) <= MOST_A_PAGE, address
    api = client(stage.cast.officer)
    api.get("/api/v1/waitlist/")
    with CaptureQueriesContext(connection) as captured:
        api.get("/api/v1/waitlist/")
    assert len(captured) <= 6
