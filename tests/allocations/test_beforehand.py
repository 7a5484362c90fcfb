"""What is offered can be booked: the agreement's pools and ceilings are known before anybody tries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.charging import Step
from allocations.models import Allocation
from allocations.selectors.bookable import bookable_allocations
from allocations.selectors.offers import Wish, find_slots
from allocations.selectors.waitlist import obstacle
from allocations.selectors.yearly import asked_by_year, within_years
from allocations.services import waitlist
from common.errors import RuleBroken
from tests.allocations.conftest import Stage
from tests.allocations.test_agreement_terms import HOUR, limit, refused
from tests.allocations.test_agreement_terms import start as start
from tests.allocations.waiting import full, join, rival
from tests.allocations.waiting import wish as wait_wish

ELSEWHERE = ["pool-22222222"]


def slots(stage: Stage, count: int, start: float, smallest: int | None = None) -> Any:
    earliest = (stage.now + timedelta(hours=start)).replace(second=0, microsecond=0)
    asked = Wish(count, smallest or count, timedelta(hours=2), earliest, earliest + timedelta(hours=8))
    return find_slots(bookable_allocations(stage.cast.owner), asked, stage.now)


def web(stage: Stage) -> Client:
    client = Client()
    client.force_login(stage.cast.owner)
    return client


def test_what_a_year_does_not_bear_is_not_offered(stage: Stage, start: float) -> None:
    limit(stage, ceiling_gpu_seconds_a_year=6 * HOUR)
    stage.book(2, start, 2)
    assert slots(stage, 2, start + 3) == []
    found = slots(stage, 4, start + 3, smallest=1)
    assert [slot.count for slot in found] == [1]
    page = web(stage).get(
        reverse("allocations:find"),
        {
            "where": stage.allocation.public_id,
            "device_count": 2,
            "length": 2,
            "unit": 3600,
            "earliest": _local(stage, start + 3),
            "latest": _local(stage, start + 11),
            "shape": "any",
        },
    )
    assert "may still take 2.00 GPU-hours" in page.content.decode()
    assert reverse("allocations:wait", args=[stage.allocation.public_id]) not in page.content.decode()
    stage.book(1, start + 3, 2)
    assert slots(stage, 1, start + 6) == []


def _local(stage: Stage, hours: float) -> str:
    return timezone.localtime(stage.now + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"pools": ELSEWHERE}, "does not cover this pool"),
        ({"state": "suspended", "state_reason": "Suspended for the audit."}, "is suspended since"),
    ],
)
def test_what_the_agreement_does_not_cover_is_told_before_anybody_books(
    stage: Stage, terms: dict[str, Any], words: str
) -> None:
    limit(stage, **terms)
    assert slots(stage, 1, 1) == []
    client, window = web(stage), {"earliest": _local(stage, 1), "latest": _local(stage, 9)}
    asked = {"where": stage.allocation.public_id, "device_count": 1, "length": 2, "unit": 3600, "shape": "any"}
    found = client.get(reverse("allocations:find"), asked | window).content.decode()
    form = client.get(reverse("allocations:book", args=[stage.allocation.public_id])).content.decode()
    stopped = "state" in terms  # of all that it covers, so that it is said before anything is typed
    assert [stopped] * 3 == [
        "data-stopped" in found,
        "data-stopped" in form and "Suspended for the audit." in form,
        'type="submit">Book<' not in form,
    ]
    assert (
        "data-barred" in found
        and words in found
        and reverse("allocations:wait", args=[stage.allocation.public_id]) not in found
    )
    calendar = client.get(reverse("allocations:calendar"), {"pool": stage.pool.public_id}).content.decode()
    assert words in calendar and reverse("allocations:book", args=[stage.allocation.public_id]) not in calendar
    check = {"device_count": 1, "starts_at": _local(stage, 1), "length": "14400", "shape": "any"}
    book = reverse("allocations:book-check", args=[stage.allocation.public_id])
    assert words in client.get(book, check).content.decode()


def test_whose_agreement_is_over_reads_so_on_the_first_page_and_where_windows_are_sought(stage: Stage) -> None:
    stage.proved = False  # ended past the ledger
    limit(stage, state="lapsed")
    Allocation.objects.filter(pk=stage.allocation.pk).update(state="expired")
    for page in ("home", "allocations:find"):
        said = web(stage).get(reverse(page)).content.decode()
        assert 'data-stopped="lapsed"' in said and "lapsed with the end of" in said


def test_the_window_that_a_refusal_names_lies_within_the_award_and_its_years(stage: Stage, start: float) -> None:
    full(stage, hours=start + 4)
    error = refused("no_free_devices", stage.book, 2, start, 2)
    assert error.facts["next_start"]
    Allocation.objects.filter(pk=stage.allocation.pk).update(valid_until=stage.now + timedelta(hours=start + 5))
    assert refused("no_free_devices", stage.book, 2, start, 2).facts["next_start"] is None
    with pytest.raises(RuleBroken):
        stage.book(2, start + 4.2, 2)


def test_an_entry_says_that_the_agreement_stands_in_its_way(stage: Stage, start: float) -> None:
    full(stage, start=start / 2, hours=10)
    award = rival(stage)
    agreement = award.project.agreement
    earliest = stage.now + timedelta(hours=start)
    window = {"earliest": earliest, "latest": earliest + timedelta(hours=3)}
    entry = join(stage, award, 4, **window)
    entry.allocation = award
    assert obstacle(entry, stage.now) is None
    for terms, code in (
        ({"pools": ELSEWHERE}, "pool_not_covered"),
        ({"ceiling_gpu_seconds_a_year": HOUR}, "ceiling_gpu_hours_a_year"),
    ):
        before = {name: getattr(agreement, name) for name in terms}
        vars(agreement).update(terms)
        found = obstacle(entry, stage.now)
        assert found is not None and (found.code, found.final) == (code, False)
        vars(agreement).update(before)
    limit(stage, ceiling_gpu_seconds_a_year=stage.cast.agreement.ceiling_gpu_seconds)
    limit(stage, ceiling_gpu_seconds_a_year=1)
    refused(
        "ceiling_gpu_hours_a_year",
        waitlist.join,
        actor=stage.cast.owner,
        allocation=stage.allocation,
        wish=wait_wish(stage, **window),
    )


@pytest.mark.parametrize("weights", [(), (Step(datetime(2031, 12, 31, 20, tzinfo=UTC), 3000),)])
def test_starts_around_the_turn_of_a_year_are_those_that_fit(weights: Any) -> None:
    turn, length = datetime(2031, 12, 31, 15, tzinfo=UTC), timedelta(hours=4)  # midnight in Seoul
    left = {2031: 5 * HOUR, 2032: 12 * HOUR}
    span = (turn - timedelta(hours=12), turn + timedelta(hours=12))
    found = within_years(left, [span], 2, length, weights)
    for step in range(24 * 6 + 1):
        at = span[0] + timedelta(minutes=10 * step)
        asked = asked_by_year(2, at, at + length, weights)
        fits = all(asked.get(year, 0) <= most for year, most in left.items())
        assert any(first <= at <= last for first, last in found) == fits, at
