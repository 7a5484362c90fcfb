"""When a lease needs help: its state says so, operators get one mail, and it goes on by itself if it can."""

from datetime import datetime, timedelta

from allocations.models import Lease
from allocations.selectors import availability, balances
from allocations.services import ending
from audit.models import AuditEvent
from cluster.models import Device
from notifications.models import Mail
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer, no_spares, pending
from tests.allocations.test_reconcile import brought_back, go, started, states
from tests.factories import UserFactory, grant_role

MINUTE = timedelta(minutes=1)


def mails(stage: Stage, lease: Lease, *, about: str = "") -> list[str]:
    """Subjects of the operator's mails about this lease."""
    found = Mail.objects.filter(address=stage.cast.operator.email, subject__contains=lease.public_id)
    return [subject for subject in found.order_by("id").values_list("subject", flat=True) if about in subject]


def unanswered(lease: Lease, verb: str, now: datetime, times: int = 4) -> datetime:
    """The node answers nothing: so many commands of this verb pass their deadline; the moment after the last."""
    for _turn in range(times):
        assert answer(lease, verb, "expire") >= 1
        now += MINUTE
        go(lease, now)
    return now


def stuck_at_grant(stage: Stage) -> tuple[Lease, datetime]:
    lease = go(stage.book(2, hours=4), stage.now + timedelta(minutes=55))
    answer(lease, "verify")
    go(lease, lease.starts_at)
    now = unanswered(lease, "grant", lease.starts_at)
    assert lease.state == "prepare_stuck"
    return lease, now


def test_a_node_that_does_not_grant_is_asked_three_more_times_and_then_people_are(stage: Stage) -> None:
    lease = go(stage.book(2, hours=4), stage.now + timedelta(minutes=55))
    answer(lease, "verify")
    go(lease, lease.starts_at)
    now = unanswered(lease, "grant", lease.starts_at, times=3)
    assert lease.state == "preparing" and mails(stage, lease) == []
    unanswered(lease, "grant", now, times=1)
    assert lease.state == "prepare_stuck" and lease.retry_at is not None
    assert len(mails(stage, lease)) == 1


def test_a_check_before_the_start_that_nobody_answers_is_stuck_too(stage: Stage) -> None:
    lease = go(stage.book(2, hours=4), stage.now + timedelta(minutes=55))
    unanswered(lease, "verify", stage.now + timedelta(minutes=55))
    assert lease.state == "prepare_stuck" and states(lease) == {"preparing"}
    assert len(mails(stage, lease)) == 1


def test_while_it_is_stuck_operators_are_told_once_however_often_it_is_looked_at(stage: Stage) -> None:
    lease, now = stuck_at_grant(stage)
    for _turn in range(6):  # a try every five minutes, none of them answered
        now += timedelta(minutes=6)
        go(lease, now)
        answer(lease, "grant", "expire")
        go(lease, now + MINUTE)
    assert lease.state == "prepare_stuck"
    assert len(mails(stage, lease)) == 1
    assert AuditEvent.objects.filter(verb="lease.stick", target_id=lease.public_id).count() == 1


def test_every_operator_is_told_and_nobody_else_of_the_agency(stage: Stage) -> None:
    second = grant_role(UserFactory(email="night@agency.example.test"), "operator")
    lease, _now = stuck_at_grant(stage)
    told = set(Mail.objects.filter(subject__contains=lease.public_id).values_list("address", flat=True))
    assert {stage.cast.operator.email, second.email} <= told
    assert not told & {stage.cast.officer.email, stage.cast.auditor.email, stage.cast.outsider.email}


def test_a_stuck_start_is_tried_again_after_its_pause_and_handed_over(stage: Stage) -> None:
    lease, now = stuck_at_grant(stage)
    before = lease.generation
    go(lease, now + MINUTE)
    assert not pending(lease, "grant")
    go(lease, now + timedelta(minutes=6))
    assert pending(lease, "grant") and lease.generation == before + 1
    answer(lease, "grant")
    go(lease, now + timedelta(minutes=7))
    assert lease.state == "active" and states(lease) == {"in_use"} and lease.retry_at is None
    assert lease.state_reason == ""


def test_a_stuck_start_may_be_released_and_costs_nothing(stage: Stage) -> None:
    lease, now = stuck_at_grant(stage)
    ending.release(actor=stage.cast.owner, lease=lease)
    assert brought_back(go(lease, now), now).state == "ended"
    assert states(lease) == {"available"}
    assert balances.balance(stage.allocation).left == stage.allocation.awarded_gpu_seconds


def test_a_stuck_start_whose_time_is_over_is_taken_back_and_costs_nothing(stage: Stage) -> None:
    lease, _now = stuck_at_grant(stage)
    go(lease, lease.ends_at)
    assert lease.state == "draining"
    assert brought_back(lease, lease.ends_at).state == "ended"
    assert balances.balance(stage.allocation).charged == 0


def test_devices_of_a_stuck_start_stay_with_it(stage: Stage) -> None:
    lease, _now = stuck_at_grant(stage)
    held = set(lease.placements.filter(released=False).values_list("device_id", flat=True))
    assert len(held) == 2
    free = availability.free_devices(stage.pool, lease.starts_at, lease.ends_at, now=lease.starts_at)
    assert not held & set(free.values_list("pk", flat=True))


def test_a_return_that_nobody_answers_is_told_to_operators_once(stage: Stage) -> None:
    lease = started(stage)
    go(lease, lease.ends_at)
    now = unanswered(lease, "revoke", lease.ends_at)
    assert lease.state == "reclaim_stuck"
    for _turn in range(3):
        now += timedelta(minutes=6)
        go(lease, now)
        answer(lease, "revoke", "expire")
    assert len(mails(stage, lease)) == 1


def test_a_dirty_device_is_told_to_operators(stage: Stage) -> None:
    lease = started(stage)
    go(lease, lease.ends_at)
    answer(lease, "revoke")
    go(lease, lease.ends_at)
    answer(lease, "reclaim", "fail", bad=(lease.placements.first().device.uuid,))
    go(lease, lease.ends_at + MINUTE)
    assert lease.state == "reclaim_stuck" and lease.retry_at is None
    assert len(mails(stage, lease)) == 1


def test_a_lease_that_failed_is_told_to_operators_and_to_the_partner(stage: Stage) -> None:
    lease = go(stage.book(2), stage.now + timedelta(minutes=55))
    no_spares(lease)
    answer(lease, "verify", "fail", bad=(lease.placements.first().device.uuid,))
    go(lease, lease.starts_at)
    assert lease.state == "failed" and len(mails(stage, lease)) == 1
    assert Mail.objects.filter(address=stage.cast.owner.email, subject__contains=lease.public_id).count() == 2


def test_cleaning_after_a_failed_start_that_nobody_answers_is_told_once(stage: Stage) -> None:
    lease = go(stage.book(3), stage.now + timedelta(minutes=55))
    no_spares(lease)
    answer(lease, "verify", "fail", bad=(lease.placements.first().device.uuid,))
    now = lease.starts_at
    go(lease, now)
    now = unanswered(lease, "reclaim", now)
    assert len(mails(stage, lease)) == 2  # that it failed; that the rest does not come back
    go(lease, now + timedelta(minutes=6))
    assert answer(lease, "reclaim") >= 1
    go(lease, now + timedelta(minutes=7))
    assert Device.objects.filter(placements__lease=lease, state="available").count() == 2
    assert len(mails(stage, lease)) == 2
