"""What an award promises of a pool: guaranteed GPUs are held at once, the others within a bound."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.urls import reverse

from allocations.models import Allocation, Envelope
from allocations.services import booking
from cluster.models import Pool
from common.errors import DomainError, Forbidden, RuleBroken
from proposals.models import AwardLine, Proposal
from proposals.services import decisions
from tests.concurrency.test_operators_race import race
from tests.factories import AgreementFactory, MembershipFactory, make_node
from tests.factories.allocations import rival_award
from tests.proposals.stage import HOUR, Stage, browser, make_stage

RACE = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])


@pytest.fixture
def stage(db: None) -> Stage:
    return make_stage()


def test_an_award_holds_what_it_needs_on_average(stage: Stage) -> None:
    Pool.objects.update(shared_nodes=True)
    stage.pool.refresh_from_db()
    proposal = stage.awarded()  # 400 GPU-hours in 720 hours: one GPU
    line = AwardLine.objects.get()
    envelope = Envelope.objects.get()
    assert (line.guaranteed_gpus, line.envelope_ref) == (1, envelope.public_id)
    assert (envelope.gpus, envelope.award_ref, envelope.allocation) == (1, proposal.public_id, None)
    assert envelope.placements.count() == 1


def test_where_nodes_are_lent_whole_nothing_is_guaranteed_unless_somebody_says_so(stage: Stage) -> None:
    stage.awarded()
    assert AwardLine.objects.get().guaranteed_gpus == 0 and not Envelope.objects.exists()


def test_accepted_it_is_the_allocations_and_refused_it_is_everybodys(stage: Stage) -> None:
    proposal = stage.awarded(guaranteed_gpus=4)
    project = decisions.accept(actor=stage.cast.owner, proposal=proposal)
    allocation = Allocation.objects.get(project=project)
    assert allocation.guaranteed_gpus == 4 and allocation.envelope.placements.count() == 4
    other = stage.awarded(guaranteed_gpus=4)
    decisions.refuse(actor=stage.cast.owner, proposal=other, reason="Too late.")
    envelope = Envelope.objects.get(award_ref=other.public_id)
    assert envelope.let_go_at and not envelope.placements.exists()


def test_what_was_guaranteed_can_be_booked_at_the_first_moment(stage: Stage) -> None:
    project = decisions.accept(actor=stage.cast.owner, proposal=stage.awarded(guaranteed_gpus=4))
    mine = Allocation.objects.get(project=project)
    start = mine.valid_from + timedelta(hours=1)
    Allocation.objects.filter(pk=mine.pk).update(state="active")
    lease = booking.book(
        actor=stage.cast.owner, allocation=mine, device_count=4, starts_at=start, ends_at=start + timedelta(hours=9)
    )
    assert lease.placements.count() == 4


def test_more_than_nobody_holds_cannot_be_guaranteed(stage: Stage) -> None:
    Pool.objects.update(shared_nodes=True, overcommit_percent=1_000)
    stage.pool.refresh_from_db()
    stage.awarded(guaranteed_gpus=4)
    rival = rival_award(stage.cast, stage.pool)
    proposal = stage.submitted()
    start = stage.ask(proposal).window_from + timedelta(days=2)
    booking.book(
        actor=stage.cast.outsider,
        allocation=rival,
        device_count=2,
        starts_at=start,
        ends_at=start + timedelta(hours=1),
    )
    with pytest.raises(RuleBroken) as caught:
        decisions.award(
            actor=stage.cast.officer, proposal=proposal, lines=[stage.ask(proposal, guaranteed_gpus=4)], reason=""
        )
    assert (caught.value.code, caught.value.field) == ("no_capacity", "lines.0.guaranteed_gpus")
    assert caught.value.facts["ceiling"] == 2
    assert Proposal.objects.get(pk=proposal.pk).state == "submitted" and Envelope.objects.count() == 1


def test_no_more_is_guaranteed_than_awarded(stage: Stage) -> None:
    with pytest.raises(RuleBroken) as caught:
        stage.awarded(gpus=2, guaranteed_gpus=3)
    assert (caught.value.code, caught.value.field) == ("past_award", "lines.0.guaranteed_gpus")


def test_awards_exceed_a_pool_by_its_bound_and_no_more(stage: Stage) -> None:
    Pool.objects.update(overcommit_percent=50)
    stage.pool.refresh_from_db()
    for _turn in range(2):
        stage.awarded(guaranteed_gpus=0)
    decisions.accept(actor=stage.cast.owner, proposal=Proposal.objects.first())
    third = stage.submitted()
    assert decisions.award(actor=stage.cast.officer, proposal=third, lines=[stage.ask(third)], reason="")
    fourth = stage.submitted()
    with pytest.raises(RuleBroken) as caught:
        decisions.award(actor=stage.cast.officer, proposal=fourth, lines=[stage.ask(fourth)], reason="")
    assert (caught.value.code, caught.value.field) == ("over_committed", "lines.0.gpus")
    assert caught.value.facts == {
        "rule": "over_commitment",
        "ceiling": 12,
        "used": 12,
        "asked": 4,
        "left": 0,
        "line": 0,
    }


@RACE
def test_two_officers_cannot_promise_the_same_gpus() -> None:
    stage = make_stage()
    make_node(stage.pool, 1)
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    proposals = [stage.submitted() for _turn in range(4)]
    asks = [stage.ask(proposal, gpus=3, gpu_seconds=100 * HOUR, guaranteed_gpus=3) for proposal in proposals]
    results = race(
        *[
            lambda proposal=proposal, ask=ask: decisions.award(
                actor=stage.cast.officer, proposal=proposal, lines=[ask], reason="Scarce."
            )
            for proposal, ask in zip(proposals, asks, strict=True)
        ]
    )
    won = [result for result in results if isinstance(result, Proposal)]
    assert len(won) == 3 and all(isinstance(result, Proposal | DomainError) for result in results), results
    assert sum(envelope.gpus for envelope in Envelope.objects.all()) == 9


@RACE
def test_control_without_the_lock_each_finds_room_for_itself(monkeypatch: Any) -> None:
    from proposals.services import promising

    stage = make_stage()
    Pool.objects.update(overcommit_percent=0)
    stage.pool.refresh_from_db()
    monkeypatch.setattr(promising, "one_at_a_time", lambda _pools: None)
    import threading

    both, look = threading.Barrier(2), promising.commitment

    def slowly(*args: Any, **kwargs: Any) -> Any:
        found = look(*args, **kwargs)
        both.wait(30)
        return found

    monkeypatch.setattr(promising, "commitment", slowly)
    cast_of = [make_stage_proposal(stage, number) for number in range(2)]
    results = race(
        *[
            lambda proposal=proposal, ask=ask: decisions.award(
                actor=stage.cast.officer, proposal=proposal, lines=[ask], reason="Scarce."
            )
            for proposal, ask in cast_of
        ]
    )
    assert all(isinstance(result, Proposal) for result in results), results
    assert sum(line.gpus for line in AwardLine.objects.all()) > 8, "more than the pool has was promised"


def make_stage_proposal(stage: Stage, number: int) -> tuple[Proposal, Any]:
    """A proposal for five of eight GPUs, each under an agreement of its own so that no ceiling makes them wait."""
    if number:
        stage.cast.agreement = AgreementFactory()
        MembershipFactory(organisation=stage.cast.agreement.organisation, user=stage.cast.owner, role="owner")
    proposal = stage.submitted(stage.line(gpus=5))
    return proposal, stage.ask(proposal, guaranteed_gpus=0)


def test_the_officers_page_says_what_is_guaranteed(stage: Stage) -> None:
    proposal = stage.submitted()
    client = browser(stage.cast.officer)
    address = reverse("proposals:award", args=[proposal.public_id])
    assert "guaranteed_gpus" in client.get(address).content.decode()
    ask = stage.ask(proposal)
    data = {
        "lines-0-pool": stage.pool.public_id,
        "lines-0-gpus": 4,
        "lines-0-guaranteed_gpus": 5,
        "lines-0-gpu_hours": 400,
        "lines-0-window_from": ask.request_line.window_from.isoformat(),
        "lines-0-window_until": ask.request_line.window_until.isoformat(),
        "reason": "",
    }
    assert client.post(address, data).status_code == 422
    assert client.post(address, data | {"lines-0-guaranteed_gpus": 3}).status_code == 302
    assert AwardLine.objects.get().guaranteed_gpus == 3


def test_terms_of_a_pool_are_set_by_those_who_may(stage: Stage) -> None:
    from allocations.services.pools import set_terms

    terms = {"pool": stage.pool, "turnaround_seconds": 1_200, "overcommit_percent": 20, "reason": "slow fans"}
    with pytest.raises(Forbidden):
        set_terms(actor=stage.cast.owner, **terms)
    with pytest.raises(RuleBroken):
        set_terms(actor=stage.cast.officer, **terms | {"overcommit_percent": 1_001})
    page = browser(stage.cast.operator)
    address = reverse("reports:pool-terms", args=[stage.pool.public_id])
    said = {"turnaround_minutes": 20, "overcommit_percent": 20, "reason": "slow fans"}
    assert page.post(address, said | {"turnaround_minutes": -1}).status_code == 422
    assert page.post(address, said).status_code == 302
    stage.pool.refresh_from_db()
    assert (stage.pool.turnaround_seconds, stage.pool.overcommit_percent) == (1_200, 20)
