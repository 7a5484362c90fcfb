"""The calendar feed: whose it is, what stands in it, and that the link is a secret."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings
from django.urls import reverse
from icalendar import Calendar

from allocations.models import CalendarFeed
from allocations.services import ending, feeds, operating
from audit.models import AuditEvent
from common.errors import WrongState
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client


def events(secret: str) -> dict[str, Any]:
    answer = Client().get(reverse("allocations:feed-file", args=[secret]))
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/calendar")
    assert "no-store" in answer["Cache-Control"] and answer["Referrer-Policy"] == "no-referrer"
    found = Calendar.from_ical(answer.content).walk("VEVENT")
    return {str(event["uid"]).partition("@")[0]: event for event in found}


def test_ones_reservations_stand_in_it_and_nobody_elses(stage: Stage) -> None:
    lease = stage.book(2, note="Pretraining; run 7, “again”\nwith a second line")
    gone = stage.book(1, start=30)
    ending.cancel(actor=stage.cast.owner, lease=gone)
    mine = events(feeds.renew(actor=stage.cast.teammate))
    assert list(mine) == [lease.public_id]
    event = mine[lease.public_id]
    assert (event["dtstart"].dt, event["dtend"].dt) == (
        lease.starts_at.replace(microsecond=0),
        lease.ends_at.replace(microsecond=0),
    )
    assert stage.pool.name in event["summary"] and str(event["description"]) == lease.note
    assert str(event["url"]).endswith(lease.get_absolute_url())
    assert events(feeds.renew(actor=stage.cast.outsider)) == {}


def test_the_agency_gets_the_announced_work(stage: Stage) -> None:
    stage.book(2)
    start = stage.now + timedelta(days=3)
    done = operating.announce_maintenance(
        actor=stage.cast.operator, node=stage.big, starts_at=start, ends_at=start + timedelta(hours=2), reason="fans"
    )
    assert list(events(feeds.renew(actor=stage.cast.operator))) == [done.target.public_id]


def test_only_a_hash_is_kept_and_an_old_link_dies_with_a_new_one(stage: Stage) -> None:
    first = feeds.renew(actor=stage.cast.owner)
    assert first not in str(CalendarFeed.objects.values_list()[0])
    second = feeds.renew(actor=stage.cast.owner)
    assert Client().get(reverse("allocations:feed-file", args=[first])).status_code == 404
    assert events(second) == {}
    feeds.revoke(actor=stage.cast.owner)
    assert Client().get(reverse("allocations:feed-file", args=[second])).status_code == 404
    with pytest.raises(WrongState):
        feeds.revoke(actor=stage.cast.owner)
    assert AuditEvent.objects.filter(verb__startswith="calendar_feed").count() == 3


def test_it_opens_nothing_for_somebody_who_has_left(stage: Stage) -> None:
    secret = feeds.renew(actor=stage.cast.owner)
    type(stage.cast.owner).objects.filter(pk=stage.cast.owner.pk).update(is_active=False)
    assert Client().get(reverse("allocations:feed-file", args=[secret])).status_code == 404


@override_settings(RATELIMIT_ENABLE=True)
def test_who_guesses_is_stopped(stage: Stage) -> None:
    web = Client()
    codes = [web.get(reverse("allocations:feed-file", args=[f"guess{n}"])).status_code for n in range(65)]
    assert codes[0] == 404 and codes[-1] == 429


def test_page_and_api_make_and_revoke_it(stage: Stage) -> None:
    web = Client()
    web.force_login(stage.cast.owner)
    page = reverse("allocations:feed")
    made = web.post(page, {"submission": "11111111-1111-4111-8111-111111111111"})
    secret = made.context["link"].rpartition("/")[2].removesuffix(".ics")
    assert events(secret) == {}
    assert secret not in web.get(page).content.decode(), "shown once"
    again = web.post(page, {"submission": "11111111-1111-4111-8111-111111111111"})
    assert again.status_code == 302 and events(secret) == {}, "a reload makes no other link"
    assert web.post(reverse("allocations:feed-revoke")).status_code == 302
    assert not CalendarFeed.objects.exists()
    assert web.post(reverse("allocations:feed-revoke"), follow=True).status_code == 200
    api = client(stage.cast.owner)
    url = api.post("/api/v1/calendar-feed/").json()["url"]
    assert events(url.rpartition("/")[2].removesuffix(".ics")) == {}
    assert api.post("/api/v1/calendar-feed/revoke/").status_code == 204
    assert api.post("/api/v1/calendar-feed/revoke/").status_code == 409
