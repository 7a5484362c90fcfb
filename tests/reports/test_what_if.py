"""What would become of the board if."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from allocations.models import Envelope, Lease, Pin
from cluster.models import Device
from common.errors import RuleBroken
from common.midnights import midnight
from proposals.models import Proposal
from reports.scenario import Approval, Changes, Move, Scenario
from reports.selectors.board import Group, board, scope_of
from reports.selectors.what_if import clashes, scenario
from tests.factories import PoolFactory, make_node
from tests.factories.allocations import rival_award
from tests.proposals.stage import Stage, make_stage
from tests.queries import queries_of
from tests.reports.board_stage import DAY, HOUR, BoardStage, make_board_stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage() -> Iterator[BoardStage]:
    with timezone.override(ZoneInfo("Asia/Seoul")):
        yield make_board_stage()


@pytest.fixture
def asking() -> Iterator[Stage]:
    """Eight GPUs, a call, and people who propose."""
    with timezone.override(ZoneInfo("Asia/Seoul")):
        stage = make_stage()
        yield stage


def asked(**changes: Any) -> Scenario:
    return scenario(Changes(**changes), timezone.now())


def seen(stage: BoardStage, found: Scenario, days: int = 3) -> Group:
    scope = scope_of([stage.pool], stage.monday, stage.monday + days * DAY, step="day")
    return board(scope, timezone.now(), found.steps)[0]


def changed(group: Group, name: str) -> list[tuple[int, int]]:
    """(today, changed) of each bucket."""
    return [(getattr(row.now, name), getattr(row.changed, name)) for row in group.buckets if row.changed]


def test_a_node_taken_away_is_missing_from_that_day_on(stage: BoardStage) -> None:
    stage.promise(10, 0, 3)
    group = seen(stage, asked(remove=(stage.small,), remove_on=stage.monday + DAY))
    assert changed(group, "physical") == changed(group, "bookable") == [(12, 12), (12, 8), (12, 8)]
    assert changed(group, "over") == [(0, 0), (0, 2), (0, 2)]
    (clash,) = clashes([group])
    assert (clash.over, clash.before, clash.since, clash.until) == (2, 0, stage.at(1), stage.at(3))
    assert [(claim.gpus, claim.organisation) for claim in clash.claims] == [(10, str(stage.cast.organisation.name))]


def test_reservations_on_a_node_that_is_taken_away_go_elsewhere_where_they_fit(stage: BoardStage) -> None:
    mine = stage.promise(12, -300, 300, state="active")
    fits = stage.book(stage.small, 4, 0, 1, allocation=mine)
    homeless = stage.book(stage.small, 2, 1, 2, allocation=mine)
    stage.book(stage.big, 7, 1, 2, allocation=mine)
    begun = stage.book(stage.small, 1, -60, -1, allocation=mine, state="active")
    over = stage.book(stage.small, 1, -80, -70, allocation=mine, state="ended")
    found = asked(remove=(stage.small,))
    assert {(loser.lease, loser.begun, loser.gpus) for loser in found.losers} == {
        (homeless, False, 2),
        (begun, True, 1),
    }
    assert found.kept == (fits,)
    assert over not in found.kept


def test_guarantees_that_a_node_keeps_are_named(stage: BoardStage) -> None:
    usual = {"pool": stage.pool, "organisation": stage.cast.organisation, "award_ref": "prop-a", "gpus": 3}
    kept = Envelope.objects.create(**usual, starts_at=stage.at(0), ends_at=stage.at(9))
    gone = Envelope.objects.create(**usual, starts_at=stage.at(0), ends_at=stage.at(9), let_go_at=timezone.now())
    for envelope in (kept, gone):
        for device in (*stage.small.devices.all()[:2], stage.big.devices.all()[0]):
            Pin.objects.create(envelope=envelope, device=device, since=stage.at(0), until=stage.at(4))
    (pinned,) = asked(remove=(stage.small,), remove_on=stage.monday).pinned
    assert (pinned.award, pinned.gpus, pinned.until) == ("prop-a", 2, stage.at(4))
    assert asked(remove=(stage.small,), remove_on=stage.monday + 4 * DAY).pinned == ()


def test_a_reservation_before_the_node_goes_stays(stage: BoardStage) -> None:
    stage.book(stage.small, 1, 0, 1)
    later = stage.book(stage.small, 1, 2, 3)
    found = asked(remove=(stage.small,), remove_on=stage.monday + DAY)
    assert found.kept == (later,) and not found.losers


def test_nodes_lent_to_others_are_no_place_for_them(stage: BoardStage) -> None:
    rival = rival_award(stage.cast, stage.pool)
    stage.book(stage.big, 1, 0, 2, allocation=rival)
    lease = stage.book(stage.small, 1, 1, 3)
    assert [loser.lease for loser in asked(remove=(stage.small,)).losers] == [lease]


def test_added_gpus_are_there_from_their_day_on(stage: BoardStage) -> None:
    stage.promise(14, 0, 3)
    found = asked(add=64, add_pool=stage.pool, add_on=stage.monday + DAY)
    group = seen(stage, found)
    assert changed(group, "bookable") == [(12, 12), (12, 76), (12, 76)]
    assert changed(group, "over") == [(2, 2), (2, 0), (2, 0)]
    assert clashes([group]) == []


def test_a_proposal_that_fits_is_promised_in_its_window(asking: Stage) -> None:
    proposal = asking.submitted(asking.line(gpus=4))
    found = asked(approve=(Approval(proposal),))
    (verdict,) = found.verdicts
    assert verdict.fits and verdict.at_most == 8 and verdict.pool_id == asking.pool.pk
    first = asking.today + DAY
    scope = scope_of([asking.pool], first - DAY, first + 31 * DAY, step="day")
    (group,) = board(scope, timezone.now(), found.steps)
    assert changed(group, "promised") == [(0, 0)] + [(0, 4)] * 30 + [(0, 0)]
    assert clashes([group]) == []


def test_a_proposal_that_does_not_fit_says_how_much_does_and_when_all_of_it_would(asking: Stage) -> None:
    first = asking.today + DAY
    asking.awarded(gpus=3)
    late = asking.submitted(asking.line(gpus=6, window_from=first + 10 * DAY, window_until=first + 19 * DAY))
    found = asked(approve=(Approval(late),))
    (verdict,) = found.verdicts
    assert (verdict.fits, verdict.at_most, verdict.first_fit) == (False, 5, first + 30 * DAY)
    scope = scope_of([asking.pool], first, first + 31 * DAY, step="day")
    (clash,) = clashes(board(scope, timezone.now(), found.steps))
    assert (clash.over, clash.before) == (1, 0)
    assert [(claim.gpus, claim.waiting) for claim in clash.claims] == [(3, True)]
    (smaller,) = asked(approve=(Approval(late, 5),)).verdicts
    assert smaller.fits and smaller.ask.gpus == 5


def test_other_changes_count_when_a_proposal_is_judged(asking: Stage) -> None:
    proposal = asking.submitted(asking.line(gpus=12, smallest_gpus=4))
    assert not asked(approve=(Approval(proposal),)).verdicts[0].fits
    both = asked(approve=(Approval(proposal),), add=64, add_pool=asking.pool)
    assert both.verdicts[0].fits and both.verdicts[0].at_most == 72
    again = asked(approve=(Approval(proposal), Approval(asking.submitted(asking.line(gpus=8)))))
    assert [verdict.at_most for verdict in again.verdicts] == [8, 0]


def test_a_proposal_goes_to_the_pool_of_its_class_with_the_most_room(asking: Stage) -> None:
    roomy = PoolFactory(name="h100-roomy", gpu_class=asking.pool.gpu_class)
    make_node(roomy, 16)
    (verdict,) = asked(approve=(Approval(asking.submitted()),)).verdicts
    assert (verdict.pool_id, verdict.at_most) == (roomy.pk, 16)


def test_only_what_waits_for_a_decision_can_be_approved(asking: Stage) -> None:
    with pytest.raises(RuleBroken) as refused:
        asked(approve=(Approval(asking.awarded()),))
    assert (refused.value.field, refused.value.facts["state"]) == ("approve", "awarded")


def test_a_moved_reservation_takes_its_bookings_along(stage: BoardStage) -> None:
    lease = stage.book(stage.big, 3, 0, 1, allocation=stage.promise(8, -9, 90))
    found = asked(moves=(Move(lease.public_id, stage.at(1.5)),))
    (moved,) = found.moved
    assert not moved.clashes and not moved.in_the_way and moved.end == stage.at(2.5)
    assert changed(seen(stage, found), "booked") == [(3, 0), (0, 3), (0, 3)]


def test_a_moved_reservation_names_who_is_in_its_way_and_from_when_it_fits(stage: BoardStage) -> None:
    award = stage.promise(12, -9, 90)
    lease = stage.book(stage.big, 8, 0, 1, allocation=award, shape="same_node")
    other = stage.book(stage.big, 1, 2, 3, allocation=award)
    (moved,) = asked(moves=(Move(lease.public_id, stage.at(1.5)),)).moved
    assert moved.clashes and moved.in_the_way == (other,) and moved.first_fit == stage.at(3)
    small = stage.book(stage.big, 1, 4, 5, allocation=award)
    (elsewhere,) = asked(moves=(Move(small.public_id, stage.at(2.5)),)).moved
    assert elsewhere.in_the_way == (other,) and elsewhere.elsewhere and not elsewhere.clashes
    (itself,) = asked(moves=(Move(lease.public_id, stage.at(0.5)),)).moved
    assert not itself.clashes


def test_a_reservation_moved_onto_announced_work_or_out_of_its_allocation_clashes(stage: BoardStage) -> None:
    lease = stage.book(stage.big, 8, 0, 1, allocation=stage.promise(8, -9, 10), shape="same_node")
    stage.close(stage.big, 2, 3)
    (closed,) = asked(moves=(Move(lease.public_id, stage.at(2)),)).moved
    assert closed.closed and closed.clashes and closed.first_fit == stage.at(3)
    (outside,) = asked(moves=(Move(lease.public_id, stage.at(9.5)),)).moved
    assert outside.outside == (lease,) and outside.clashes


def test_moved_maintenance_names_the_reservations_there_and_its_first_gap(stage: BoardStage) -> None:
    window = stage.close(stage.small, 0, 1)
    lease = stage.book(stage.small, 1, 1.5, 2)
    found = asked(moves=(Move(window.public_id, stage.at(1)),))
    (moved,) = found.moved
    assert moved.clashes and moved.in_the_way == (lease,) and moved.first_fit == stage.at(2)
    assert changed(seen(stage, found), "out") == [(4, 0), (0, 4), (0, 0)]
    (free,) = asked(moves=(Move(window.public_id, stage.at(2)),)).moved
    assert not free.clashes


def test_a_moved_allocation_is_promised_later_and_leaves_reservations_outside(stage: BoardStage) -> None:
    award = stage.promise(5, 0, 1)
    stage.promise(8, 1, 2)
    lease = stage.book(stage.big, 1, 0, 0.5, allocation=award)
    found = asked(moves=(Move(award.public_id, stage.at(1)),))
    (moved,), (verdict,) = found.moved, found.verdicts
    assert moved.outside == (lease,) and moved.clashes
    assert (verdict.fits, verdict.at_most, verdict.first_fit) == (False, 4, stage.monday + 2 * DAY)
    assert changed(seen(stage, found), "promised") == [(5, 0), (8, 13), (0, 0)]


def test_a_waiting_award_moves_with_all_its_lines(asking: Stage) -> None:
    proposal = asking.awarded()
    first = asking.today + DAY
    to = midnight(first, ZoneInfo("Asia/Seoul")) + 5 * DAY
    found = asked(moves=(Move(proposal.public_id, to),))
    scope = scope_of([asking.pool], first, first + 36 * DAY, step="day")
    (group,) = board(scope, timezone.now(), found.steps)
    assert [after for _now, after in changed(group, "promised")] == [0] * 5 + [4] * 30 + [0]


@pytest.mark.parametrize("ref", ["lease-zzzzzzz", "maint-zzzzzzz", "alloc-zzzzzzz", "prop-zzzzzzz", "node-1", "", "-"])
def test_what_is_not_there_cannot_be_moved(stage: BoardStage, ref: str) -> None:
    with pytest.raises(RuleBroken) as refused:
        asked(moves=(Move(ref, stage.at(1)),))
    assert (refused.value.code, refused.value.field) == ("unknown_window", "move")


def test_what_has_begun_cannot_be_moved_nor_anything_into_the_past(stage: BoardStage) -> None:
    begun = stage.book(stage.big, 1, -60, 3, state="active")
    for ref in (begun.public_id, stage.promise(1, -60, 3).public_id, stage.close(stage.big, -60, 3).public_id):
        with pytest.raises(RuleBroken) as refused:
            asked(moves=(Move(ref, stage.at(1)),))
        assert refused.value.code == "has_begun"
    with pytest.raises(RuleBroken) as refused:
        asked(moves=(Move(stage.book(stage.small, 1, 0, 1).public_id, timezone.now() - HOUR),))
    assert refused.value.code == "past_move"


def test_its_queries_do_not_grow_with_what_is_booked_or_asked(asking: Stage) -> None:
    stage = BoardStage(asking.cast, asking.pool, *2 * [asking.pool.nodes.get()], asking.today + timedelta(days=20))

    def ask() -> int:
        changes = Changes(
            remove=(stage.big,),
            add=5,
            add_pool=stage.pool,
            approve=tuple(Approval(proposal) for proposal in Proposal.objects.filter(state="submitted")),
        )
        return len(queries_of(lambda: scenario(changes, timezone.now())))

    award = stage.promise(12, -20, 300)
    stage.book(stage.big, 1, 1, 2, allocation=award)
    asking.submitted()
    few = ask()
    for number in range(10):
        stage.book(stage.big, 3, 3 + number, 4 + number, allocation=award)
        asking.submitted()
    assert ask() == few <= 14
    assert Lease.objects.count() == 11 and Device.objects.count() == 8
