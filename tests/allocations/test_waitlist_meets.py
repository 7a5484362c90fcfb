"""The wait-list where it meets the other rules: blackouts, lengths, weights, guarantees, people who leave."""

from typing import Any

from allocations.models import WaitEntry
from allocations.selectors import balances
from allocations.services import booking, ending, envelopes, serving
from common.actors import SEED
from notifications.models import Notification
from partners.models import Membership
from tests.allocations.conftest import Stage
from tests.allocations.rules import black_out, refused, say
from tests.allocations.test_envelopes import promise
from tests.allocations.test_serving import cancel, offered, state_of
from tests.allocations.test_weights import announced
from tests.allocations.waiting import HOUR, full, join, owner_of, rival, serve
from tests.factories import ProjectMemberFactory, UserFactory


def test_whom_a_blackout_keeps_from_booking_is_passed_by_without_loss_and_served_after_it(stage: Stage) -> None:
    lease = full(stage)
    entry, later = join(stage, rival(stage)), join(stage, rival(stage), 4, latest=stage.now + 9 * HOUR)
    blackout = black_out(stage, stage.now + HOUR, stage.now + 5 * HOUR)
    cancel(stage, lease)
    serve(stage)
    assert offered(entry, later) == [later] and later.lease
    assert later.lease.starts_at >= blackout.ends_at
    assert (entry.obstacle, entry.passed_over, entry.state) == ("rules", 0, "waiting")


def test_nobody_waits_for_longer_than_a_reservation_may_last(stage: Stage) -> None:
    full(stage)
    say(stage, longest_seconds=3600)
    refused("window_too_long", join, stage, rival(stage))


def test_an_offer_counts_among_what_is_booked_ahead(stage: Stage) -> None:
    lease = full(stage)
    entry = join(stage, rival(stage))
    say(stage, future_leases=1)
    cancel(stage, lease)
    serve(stage)
    assert offered(entry)
    asked = {"actor": entry.asked_by, "allocation": entry.allocation, "device_count": 1}
    window = {"starts_at": stage.now + 6 * HOUR, "ends_at": stage.now + 7 * HOUR}
    refused("future_leases", booking.book, **asked, **window)


def test_the_balance_is_reckoned_in_the_weights_that_are_announced(stage: Stage) -> None:
    lease = full(stage)
    entry = join(stage, rival(stage, awarded_gpu_seconds=4 * 7200 + 100))
    announced(stage, 2000, hours=0.5)
    refused("balance", join, stage, rival(stage, awarded_gpu_seconds=4 * 7200 + 100))
    rich = join(stage, rival(stage))
    cancel(stage, lease)
    serve(stage)
    assert state_of(entry) == "dropped", "twice the hours are needed now"
    assert offered(rich) and balances.balance(rich.allocation).held == 2 * 4 * 7200


def test_what_a_guarantee_lets_go_wakes_the_list(stage: Stage, django_capture_on_commit_callbacks: Any) -> None:
    envelope = promise(stage, stage.allocation, 12)
    entry = join(stage, rival(stage))
    WaitEntry.objects.update(next_try_at=stage.now + 24 * HOUR)
    with django_capture_on_commit_callbacks(execute=True):
        envelopes.let_go(actor=SEED, envelope=envelope, reason="refused")
    entry.refresh_from_db()
    assert entry.next_try_at <= stage.now + HOUR / 2
    assert serving.serve(entry.next_try_at) == 1 and offered(entry)


def test_whoever_left_the_organisation_hears_nothing_and_its_leads_do(stage: Stage) -> None:
    full(stage)
    entry = join(stage, rival(stage))
    lead = UserFactory()
    ProjectMemberFactory(project=entry.allocation.project, user=lead, is_lead=True)
    gone = owner_of(entry.allocation)
    Membership.objects.filter(user=gone).delete()
    serve(stage)
    assert state_of(entry) == "dropped"
    assert list(Notification.objects.filter(event="waitlist_dropped").values_list("recipient", flat=True)) == [lead.pk]


def test_giving_an_offer_back_costs_nothing_whatever_notice_a_cancellation_needs(stage: Stage) -> None:
    lease = full(stage)
    entry = join(stage, rival(stage))
    say(stage, release_notice_seconds=86_400)
    ending.cancel(actor=stage.cast.owner, lease=lease)
    serve(stage)
    assert offered(entry) and entry.lease
    ending.take_offer_back(entry.lease, "decline", actor=entry.asked_by)
    found = balances.balance(entry.allocation)
    assert (found.held, found.charged, found.left) == (0, 0, found.awarded)
