"""Who may propose, and how much: said on the call's page, asked at submission."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import translation
from rest_framework.test import APIClient

from common.errors import RuleBroken
from proposals.models import Call
from proposals.selectors.eligibility import anniversary, conditions, conditions_of
from proposals.services import drafting
from proposals.services.eligibility import check_may_propose, check_size
from tests.proposals.stage import Stage, browser
from tests.queries import MOST_A_PAGE, queries_of

HOUR = 3600


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Refusals of services in the source's own words."""
    with translation.override("en"):
        yield


def asks(stage: Stage, **terms: Any) -> Call:
    """The call asks for this of whoever proposes."""
    Call.objects.filter(pk=stage.call.pk).update(**terms)
    stage.call.refresh_from_db()
    return stage.call


def is_a(stage: Stage, **facts: Any) -> None:
    """What is registered of the organisation."""
    for name, value in facts.items():
        setattr(stage.cast.organisation, name, value)
    stage.cast.organisation.save()


@pytest.mark.parametrize(
    ("terms", "facts", "rule"),
    [
        ({"sizes": ["micro", "small"]}, {"size": "large"}, "size"),
        ({"sizes": ["micro", "small"]}, {}, "size"),
        ({"regions": ["gwangju"]}, {"region": "seoul"}, "region"),
        ({"most_years": 7}, {"founded_on": date(2001, 1, 1)}, "years"),
        ({"most_years": 7}, {}, "years"),
    ],
)
def test_whoever_does_not_meet_a_condition_reads_why_and_cannot_submit(
    stage: Stage, terms: dict[str, Any], facts: dict[str, Any], rule: str
) -> None:
    call = asks(stage, **terms)
    is_a(stage, **facts)
    page = browser(stage.cast.owner).get(call.get_absolute_url()).content.decode()
    assert "Upstage may not propose yet, because" in page
    with pytest.raises(RuleBroken) as caught:
        drafting.submit(actor=stage.cast.owner, proposal=stage.draft())
    assert (caught.value.code, caught.value.facts["rule"]) == ("not_eligible", rule)
    assert caught.value.remedy


def test_whoever_meets_all_reads_so_and_submits(stage: Stage) -> None:
    call = asks(stage, sizes=["small"], regions=["gwangju"], most_years=7, most_proposals=1)
    is_a(stage, size="small", region="gwangju", founded_on=stage.today - timedelta(days=700))
    page = browser(stage.cast.owner).get(call.get_absolute_url()).content.decode()
    assert "Upstage may propose, because" in page and stage.cast.agreement.number in page
    assert len(conditions_of(call)) == 4
    assert drafting.submit(actor=stage.cast.owner, proposal=stage.draft()).state == "submitted"
    assert [c.rule for c in conditions(call, stage.cast.organisation) if not c.met] == ["proposals"]
    with pytest.raises(RuleBroken, match="1 handed in so far"):
        drafting.submit(actor=stage.cast.owner, proposal=stage.draft())


def test_a_withdrawn_proposal_makes_room_and_a_returned_one_comes_back(stage: Stage) -> None:
    asks(stage, most_proposals=1)
    first = stage.submitted()
    drafting.withdraw(actor=stage.cast.owner, proposal=first)
    check_may_propose(stage.call, stage.cast.organisation)


@pytest.mark.parametrize(
    ("founded", "years", "last"),
    [
        (date(2020, 2, 29), 7, date(2027, 3, 1)),
        (date(2020, 2, 29), 4, date(2024, 2, 29)),
        (date(2019, 5, 1), 7, date(2026, 5, 1)),
    ],
)
def test_years_are_over_on_the_anniversary(founded: date, years: int, last: date) -> None:
    assert anniversary(founded, years) == last


def test_an_ask_is_neither_smaller_nor_larger_than_the_call_takes(stage: Stage) -> None:
    call = asks(stage, smallest_gpu_seconds=100 * HOUR, largest_gpu_seconds=300 * HOUR)
    for hours, code in ((99, "ask_too_small"), (301, "ask_too_large")):
        with pytest.raises(RuleBroken) as caught:
            check_size(call, hours * HOUR)
        assert caught.value.code == code
    check_size(call, 300 * HOUR)
    with pytest.raises(RuleBroken, match=r"at most 300\.00 GPU-hours; this one asks for 400.00"):
        drafting.submit(actor=stage.cast.owner, proposal=stage.draft())
    small = stage.draft(stage.line(gpus=2))
    assert drafting.submit(actor=stage.cast.owner, proposal=small).state == "submitted"


def test_the_api_says_the_same(stage: Stage) -> None:
    call = asks(stage, sizes=["small"])
    api = APIClient()
    api.force_authenticate(stage.cast.owner)
    found = api.get(f"/api/v1/calls/{call.public_id}/eligibility/").data
    assert [(row["organisation"], row["may"]) for row in found] == [(stage.cast.organisation.public_id, False)]
    assert {row["rule"]: row["met"] for row in found[0]["conditions"]} == {
        "role": True,
        "agreement": True,
        "size": False,
    }
    api.force_authenticate(stage.cast.viewer)
    assert api.get(f"/api/v1/calls/{call.public_id}/eligibility/").data[0]["conditions"][0]["met"] is False


def test_the_page_of_a_call_asks_little(stage: Stage) -> None:
    call = asks(stage, sizes=["small"], most_proposals=3)
    owner = browser(stage.cast.owner)
    assert len(queries_of(lambda: owner.get(call.get_absolute_url()))) <= MOST_A_PAGE
