"""The officers' pages and API of the rules, what partners read of them, and two officers at one form."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from allocations.models import Blackout, BookingRules
from allocations.rulebook import RULES
from allocations.selectors.rulebooks import rulebook_of
from audit.models import AuditEvent
from tests.allocations.conftest import Stage
from tests.allocations.rules import black_out, refused, say, subject_of
from tests.allocations.test_api import client
from tests.allocations.test_views import sign_in
from tests.factories import PoolFactory
from tests.queries import MOST_A_PAGE, queries_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EMPTY = dict.fromkeys(RULES, "")


def form_of(stage: Stage, scope: str = "pool") -> str:
    return reverse("allocations:rules-of", args=[scope, subject_of(stage, scope).public_id])


def send(stage: Stage, url: str, user: Any = None, **typed: Any) -> Any:
    data = {**EMPTY, "version": 0, "reason": "as agreed", **typed}
    return sign_in(user or stage.cast.officer).post(url, data)


def api_of(stage: Stage, scope: str = "pool") -> str:
    return f"/api/v1/booking-rules/{scope}/{subject_of(stage, scope).public_id}/"


@pytest.mark.parametrize("scope", ["pool", "agreement", "allocation"])
def test_an_officer_says_rules_and_partners_read_whose_they_are(stage: Stage, scope: str) -> None:
    answer = send(stage, form_of(stage, scope), longest_seconds="2.5", extensions="0", release_notice_seconds="1.5")
    assert answer.status_code == 302
    rules = BookingRules.objects.get()
    assert (rules.scope, rules.longest_seconds, rules.extensions, rules.release_notice_seconds) == (
        scope,
        216_000,
        0,
        5_400,
    )
    assert rules.ahead_seconds is None and rules.version == 1
    event = AuditEvent.objects.get(verb="rules.set")
    assert event.target_id == subject_of(stage, scope).public_id
    assert event.changes["longest_seconds"] == [None, 216_000] and event.changes["reason"] == ["as agreed"]
    page = sign_in(stage.cast.viewer).get(stage.allocation.get_absolute_url()).content.decode()
    with translation.override("en"):
        whose = {
            "pool": f"rule of the pool {stage.pool.name}",
            "agreement": f"rule of the agreement {stage.cast.agreement.number}",
            "allocation": "rule of this award",
        }[scope]
    assert whose in page and "2 days 12 hours" in page and "cannot be extended" in page
    url = f"/api/v1/allocations/{stage.allocation.public_id}/rules/"
    said = client(stage.cast.viewer).get(url, HTTP_ACCEPT_LANGUAGE="en").data
    found = {row["rule"]: row for row in said["rules"]}
    assert set(found) == set(RULES)
    assert (found["longest_seconds"]["value"], found["longest_seconds"]["scope"]) == (216_000, scope)
    assert found["longest_seconds"]["whose"] == whose and found["ahead_seconds"]["scope"] == "house"


def test_the_form_shows_what_is_said_and_what_would_be_inherited_and_from_where(stage: Stage) -> None:
    say(stage, "pool", longest_seconds=5400, ahead_seconds=10 * 86400)
    say(stage, "agreement", extensions=7)
    say(stage, "allocation", longest_seconds=100 * 60)
    page = sign_in(stage.cast.officer).get(form_of(stage, "allocation"))
    form = page.context["form"]
    assert float(form["longest_seconds"].value()) * 86400 == pytest.approx(6000, abs=0.1)
    helps = {name: str(form.fields[name].help_text) for name in RULES}
    assert f"1 hour 30 minutes (rule of the pool {stage.pool.name})" in helps["longest_seconds"]
    assert f"7 (rule of the agreement {stage.cast.agreement.number})" in helps["extensions"]
    assert "rule of the house" in helps["early_return_percent"] and "100 %" in helps["early_return_percent"]


def test_what_is_shown_and_saved_again_is_the_same_to_the_second(stage: Stage) -> None:
    values = {name: 60 * 7 * (n + 13) for n, name in enumerate(RULES) if name.endswith("_seconds")}
    rules = say(stage, "pool", **values)
    form = sign_in(stage.cast.officer).get(form_of(stage)).context["form"]
    typed = {name: "" if form[name].value() is None else form[name].value() for name in RULES}
    assert send(stage, form_of(stage), **typed, version=1).status_code == 302
    again = BookingRules.objects.get()
    assert {name: getattr(again, name) for name in values} == values
    assert again.version == rules.version, "nothing was changed"


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("longest_seconds", "0"),
        ("longest_seconds", "-1"),
        ("longest_seconds", "ninety"),
        ("longest_seconds", "100000"),
        ("longest_seconds", "1e400"),
        ("longest_seconds", "NaN"),
        ("ahead_seconds", "0.00001"),
        ("future_leases", "-1"),
        ("future_leases", "2.5"),
        ("future_leases", "999999999999999999999"),
        ("extensions", "10001"),
        ("extension_window_seconds", "0"),
        ("release_notice_seconds", "9000"),
        ("concurrent_gpus", "0"),
        ("no_show_grace_seconds", "0.1"),
        ("early_return_percent", "101"),
        ("reason", ""),
        ("reason", "   "),
        ("reason", "x" * 201),
        ("version", "one"),
        ("version", ""),
    ],
)
def test_a_form_with_nonsense_is_refused_and_keeps_what_was_typed(stage: Stage, field: str, typed: str) -> None:
    answer = send(stage, form_of(stage), **{"extensions": "3", field: typed})
    assert answer.status_code == 422
    assert not BookingRules.objects.exists()
    assert answer.context["form"].errors, answer.content.decode()
    if field != "extensions":
        assert answer.context["form"]["extensions"].value() == "3"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0},
        {"version": -1, "reason": "r"},
        {"version": 0, "reason": ""},
        {"version": 0, "reason": "r", "longest_seconds": 599},
        {"version": 0, "reason": "r", "longest_seconds": "long"},
        {"version": 0, "reason": "r", "early_return_percent": 101},
        {"version": 0, "reason": "r", "concurrent_gpus": 10**30},
        [1, 2],
        "text",
    ],
)
def test_the_api_refuses_nonsense(stage: Stage, body: Any) -> None:
    answer = client(stage.cast.officer).put(api_of(stage), body, format="json")
    assert answer.status_code == 400, answer.content
    assert not BookingRules.objects.exists()


def test_rules_are_said_in_whole_minutes(stage: Stage) -> None:
    body = {"version": 0, "reason": "r", "longest_seconds": 601}
    answer = client(stage.cast.officer).put(api_of(stage), body, format="json")
    assert answer.status_code == 422 and answer.data["field"] == "longest_seconds"


def test_the_api_says_and_shows_the_same_rules(stage: Stage) -> None:
    api = client(stage.cast.officer)
    body = {"version": 0, "reason": "r", "longest_seconds": 7200, "no_show_seconds": 0}
    said = api.put(api_of(stage), body, format="json")
    assert said.status_code == 200 and said.data["version"] == 1
    assert said.data["rules"]["no_show_seconds"] == 0 and said.data["rules"]["extensions"] is None
    assert api.get(api_of(stage)).data == said.data
    assert [row["scope"] for row in api.get("/api/v1/booking-rules/").data["results"]] == ["pool"]
    assert api.get(api_of(stage, "agreement")).data["version"] == 0
    assert api.get(f"/api/v1/booking-rules/planet/{stage.pool.public_id}/").status_code == 404
    assert api.get("/api/v1/booking-rules/pool/pool-22222222/").status_code == 404


@pytest.mark.parametrize("who", ["operator", "auditor"])
def test_only_officers_say_rules(stage: Stage, who: str) -> None:
    user = getattr(stage.cast, who)
    answer = send(stage, form_of(stage), user=user, extensions="1")
    assert answer.status_code == 422 and "allow" in str(answer.context["form"].non_field_errors())
    body = {"version": 0, "reason": "r", "extensions": 1}
    assert client(user).put(api_of(stage), body, format="json").status_code == 403
    assert b"Programme officers change the rules" in sign_in(user).get(form_of(stage)).content
    window = {"starts_at": stage.now + HOUR, "ends_at": stage.now + DAY, "reason_ko": "가", "reason_en": "a"}
    assert client(user).post("/api/v1/blackouts/", window, format="json").status_code == 403
    assert not BookingRules.objects.exists() and not Blackout.objects.exists()


def test_the_second_of_two_officers_sees_the_difference_and_nothing_is_lost_unseen(stage: Stage) -> None:
    first, second = send(stage, form_of(stage), extensions="3"), stage.cast.administrator
    assert first.status_code == 302
    answer = send(stage, form_of(stage), user=second, extensions="5", future_leases="2")
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "now 3, yours 5" in text and "now not said here, yours 2" in text
    assert BookingRules.objects.get().extensions == 3
    form = answer.context["form"]
    assert form["extensions"].value() == "5" and str(form["version"].value()) == "1"
    again = send(stage, form_of(stage), user=second, extensions="5", future_leases="2", version=1)
    assert again.status_code == 302, "seen, and meant"
    assert BookingRules.objects.get().extensions == 5
    body = {"version": 1, "reason": "r", "extensions": 9}
    stale = client(stage.cast.officer).put(api_of(stage), body, format="json")
    assert stale.status_code == 409 and stale.data["code"] == "rules_changed"
    assert stale.data["facts"]["version"] == 2 and stale.data["facts"]["now"]["extensions"] == 5


def test_the_list_says_who_says_what_and_leads_to_each_form(stage: Stage) -> None:
    say(stage, "pool", longest_seconds=7200)
    say(stage, "agreement", extensions=4)
    black_out(stage, stage.now + HOUR, stage.now + DAY)
    staff = sign_in(stage.cast.officer)
    page = staff.get(reverse("allocations:rules")).content.decode()
    for expected in ("2 hours", stage.cast.agreement.number, form_of(stage), form_of(stage, "agreement"), "hall"):
        assert expected in page
    for wanted, scope in (
        (stage.cast.agreement.number, "agreement"),
        (stage.cast.agreement.public_id, "agreement"),
        (stage.allocation.public_id, "allocation"),
    ):
        answer = staff.get(reverse("allocations:rules"), {"of": f" {wanted} "})
        assert answer["Location"] == form_of(stage, scope)
    missing = staff.get(reverse("allocations:rules"), {"of": "<nothing>"})
    assert missing.status_code == 404 and b"&lt;nothing&gt;" in missing.content
    assert staff.get(f"/staff/rules/planet/{stage.pool.public_id}/").status_code == 404


def test_the_list_costs_the_same_with_many_rules(stage: Stage) -> None:
    from tests.factories import AllocationFactory

    staff, addresses = sign_in(stage.cast.officer), (reverse("allocations:rules"), "/api/v1/booking-rules/")
    say(stage, "pool", extensions=3)
    say(stage, "agreement", longest_seconds=7200)
    say(stage, "allocation", extensions=1)
    before = [len(queries_of(partial(staff.get, url))) for url in addresses]
    for _n in range(8):
        more = AllocationFactory()
        say(stage, "allocation", allocation=more, extensions=1)
        black_out(stage, stage.now + HOUR, stage.now + DAY)
    assert [len(queries_of(partial(staff.get, url))) for url in addresses] == before and max(before) <= MOST_A_PAGE
    listed = staff.get(addresses[1], {"page_size": 5}).json()
    assert (listed["count"], len(listed["results"])) == (11, 5)
    own = next(row for row in staff.get(addresses[1]).json()["results"] if row["subject"] == stage.allocation.public_id)
    assert (own["inherited"]["extensions"], own["inherited"]["longest_seconds"]) == (3, 7200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("allocations.views.rules.A_PAGE", 5)
        page = staff.get(addresses[0], {"page": 2}).content.decode()
        assert page.count("/staff/rules/allocation/") == 4 and 'href="?page=1#exceptions"' in page


def window(stage: Stage, **typed: Any) -> dict[str, Any]:
    local = timezone.localtime(stage.now)
    return {
        "pool": stage.pool.public_id,
        "starts_at": (local + HOUR).strftime("%Y-%m-%dT%H:%M"),
        "ends_at": (local + DAY).strftime("%Y-%m-%dT%H:%M"),
        "reason_ko": "이전 작업",
        "reason_en": "the hall is moved",
        **typed,
    }


def test_a_blackout_is_announced_read_and_cancelled(stage: Stage) -> None:
    lease = stage.book(2, start=3, hours=2)
    outside = stage.book(1, start=40, hours=2)
    staff = sign_in(stage.cast.officer)
    answer = staff.post(reverse("allocations:blackout-new"), window(stage))
    blackout = Blackout.objects.get()
    assert answer["Location"] == blackout.get_absolute_url()
    page = staff.get(blackout.get_absolute_url()).content.decode()
    assert lease.public_id in page and outside.public_id not in page
    for url in (stage.allocation.get_absolute_url(), reverse("allocations:book", args=[stage.allocation.public_id])):
        assert "the hall is moved" in sign_in(stage.cast.viewer).get(url).content.decode()
    listed = client(stage.cast.viewer).get("/api/v1/blackouts/").data["results"]
    assert [row["id"] for row in listed] == [blackout.public_id]
    cancel = reverse("allocations:blackout-cancel", args=[blackout.public_id])
    assert staff.post(cancel, {"reason": ""}).status_code == 422
    assert staff.post(cancel, {"reason": "postponed"}).status_code == 302
    assert staff.post(cancel, {"reason": "postponed"}).status_code == 422, "it is cancelled already"
    assert rulebook_of(stage.allocation).closures == ()
    assert set(AuditEvent.objects.filter(target_id=blackout.public_id).values_list("verb", flat=True)) == {
        "blackout.announce",
        "blackout.cancel",
    }


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("pool", "pool-22222222"),
        ("starts_at", "tomorrow"),
        ("starts_at", ""),
        ("ends_at", "0001-01-01T00:00"),
        ("ends_at", "9999-12-31T23:59"),
        ("ends_at", "2020-01-01T00:00"),
        ("reason_ko", ""),
        ("reason_en", "  "),
        ("reason_en", "x" * 201),
    ],
)
def test_a_blackout_with_nonsense_is_refused(stage: Stage, field: str, typed: str) -> None:
    answer = sign_in(stage.cast.officer).post(reverse("allocations:blackout-new"), window(stage, **{field: typed}))
    assert answer.status_code == 422 and answer.context["form"].errors
    assert not Blackout.objects.exists()


def test_the_api_announces_and_names_whose_reservations_lie_in_it(stage: Stage) -> None:
    lease = stage.book(1, start=3, hours=2)
    api = client(stage.cast.officer)
    body = window(stage, pool=None, starts_at=stage.now + HOUR, ends_at=stage.now + DAY)
    made = api.post("/api/v1/blackouts/", body, format="json")
    assert made.status_code == 201 and made.data["leases"] == [lease.public_id] and made.data["pool"] is None
    url = f"/api/v1/blackouts/{made.data['id']}/"
    assert client(stage.cast.owner).post(url + "cancel/", {"reason": "r"}, format="json").status_code == 404
    assert api.post(url + "cancel/", {"reason": "r"}, format="json").data["cancelled_at"]
    assert api.post(url + "cancel/", {"reason": "r"}, format="json").status_code == 409
    assert api.post("/api/v1/blackouts/", {**body, "pool": "x"}, format="json").status_code == 400
    backwards = {**body, "ends_at": stage.now}
    assert api.post("/api/v1/blackouts/", backwards, format="json").data["code"] == "window"


def test_one_that_is_over_is_neither_announced_nor_cancelled(stage: Stage) -> None:
    refused("window", black_out, stage, stage.now - DAY, stage.now - HOUR)
    assert black_out(stage, stage.now - DAY, stage.now + HOUR), "one that has begun may be"


def test_the_booking_page_says_what_a_rule_has_against_the_window(stage: Stage) -> None:
    say(stage, longest_seconds=7200, ahead_seconds=86400)
    owner = sign_in(stage.cast.owner)
    url = reverse("allocations:book-check", args=[stage.allocation.public_id])
    typed = {"device_count": 1, "length": "14400", "shape": "any"}
    assert 'data-check="rule"' in owner.get(url, typed).content.decode()
    assert 'data-check="rule"' not in owner.get(url, {**typed, "length": "3600"}).content.decode()
    book = reverse("allocations:book", args=[stage.allocation.public_id])
    far = timezone.localtime(stage.now + 5 * DAY).strftime("%Y-%m-%dT%H:%M")
    answer = owner.post(book, {"device_count": 1, "length": "3600", "shape": "any", "starts_at": far})
    assert answer.status_code == 422 and answer.context["form"].errors["starts_at"]
    assert answer.context["offer"]["start"] < stage.now + DAY + HOUR, "the last window within reach, as a link"
    taken = owner.get(answer.context["offer"]["url"])
    assert not taken.context["check"]["refused"]


def test_the_calendar_draws_a_blackout_and_says_it_in_words(stage: Stage) -> None:
    black_out(stage, stage.now + HOUR, stage.now + DAY)
    black_out(stage, stage.now + 40 * DAY, stage.now + 41 * DAY, reason_en="much later")
    black_out(stage, stage.now + HOUR, stage.now + DAY, pool=PoolFactory(), reason_en="elsewhere")
    page = sign_in(stage.cast.viewer).get(reverse("allocations:calendar"), {"pool": stage.pool.public_id})
    text = page.content.decode()
    assert 'class="calendar-blackout"' in text and "nothing can be booked: the hall is moved" in text
    assert "much later" not in text and "elsewhere" not in text


def test_staff_reach_an_agreements_rules_from_its_page_and_partners_do_not(stage: Stage) -> None:
    url = stage.cast.agreement.get_absolute_url()
    assert form_of(stage, "agreement") in sign_in(stage.cast.officer).get(url).content.decode()
    assert form_of(stage, "agreement") not in sign_in(stage.cast.owner).get(url).content.decode()


def test_an_odd_search_for_whose_rules_finds_nothing(stage: Stage) -> None:
    for wanted in ("\0", "a\0b", "none"):
        answer = sign_in(stage.cast.officer).get(reverse("allocations:rules"), {"of": wanted})
        assert answer.status_code in (200, 404)
