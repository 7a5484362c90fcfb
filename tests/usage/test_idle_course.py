"""From the finding to the end: nothing without notice, both sides read the same, what is used again stays."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from allocations.models import Lease, UsageCorrection, WaitEntry
from allocations.services import serving
from allocations.services.usage.correcting import correct
from audit.models import AuditEvent
from common.errors import DomainError, Forbidden, RuleBroken, WrongState
from notifications.models import Mail, Notification
from tests.allocations.conftest import Stage
from tests.allocations.nodes import answer
from tests.allocations.test_no_show import measured
from tests.allocations.test_reconcile import brought_back, go
from tests.allocations.waiting import full, join, rival
from tests.factories import grant_role
from tests.usage.conftest import HOUR, hours_of, rule_on
from usage.models import IdleCase
from usage.services import acting, answering, breaches, following, giving_back, idle_rules

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
Clock = Callable[[datetime], datetime]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the now of everything that asks Django for it."""

    def at(moment: datetime) -> datetime:
        monkeypatch.setattr(timezone, "now", lambda: moment)
        return moment

    return at


def devices_of(lease: Lease) -> list[int]:
    return [row.device_id for row in lease.placements.filter(released=False).order_by("device_id")]


def noticed(lease: Lease, clock: Clock, *, busy: int = 0) -> tuple[IdleCase, datetime]:
    """A case over the idle ones; the last `busy` devices are used. And the moment of its notice."""
    ids = devices_of(lease)
    assert lease.active_at
    if busy:
        hours_of(lease, lease.active_at, 5, "used", devices=ids[-busy:])
    now = clock(hours_of(lease, lease.active_at, 5, devices=ids[: len(ids) - busy]) + HOUR)
    assert following.watch(now) == 1
    return IdleCase.objects.get(), now


def watch(case: IdleCase, now: datetime) -> IdleCase:
    """Twice: the second look changes nothing."""
    following.watch(now)
    before = (AuditEvent.objects.count(), Mail.objects.count())
    following.watch(now)
    assert before == (AuditEvent.objects.count(), Mail.objects.count())
    case.refresh_from_db()
    return case


def said(case: IdleCase) -> list[str]:
    return list(case.steps.values_list("kind", flat=True))


def test_from_the_finding_to_the_pool(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage, returned_percent=50)
    case, now = noticed(lease, clock)
    assert case.state == "noticed" and case.whole and case.due_at == now + HOUR
    told = set(Notification.objects.filter(event="idle_notice").values_list("recipient__name", flat=True))
    assert told == {"Owner", "Manager", "Teammate"}
    assert Mail.objects.filter(subject__contains=lease.public_id, body__contains=case.get_absolute_url()).exists()
    measured(lease, now + HOUR)
    assert watch(case, clock(now + HOUR - SECOND)).state == "noticed"
    due = clock(now + HOUR)
    assert watch(case, due).state == "executing"
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason, lease.returned_percent) == ("draining", "reclaimed", 50)
    brought_back(go(lease, due), due + MINUTE)
    case = watch(case, due + 2 * MINUTE)
    assert case.state == "executed" and said(case) == ["detected", "noticed", "due", "executing", "executed"]
    rest = 4 * int((lease.ends_at - due).total_seconds())
    assert abs(case.returned_seconds - rest // 2) < 10 and abs(case.back_seconds - rest // 2) < 10


def test_single_idle_gpus_are_taken_and_the_others_go_on(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock, busy=1)
    measured(lease, now + HOUR)
    due = clock(now + HOUR)
    assert watch(case, due).state == "executing" and case.reshape is not None
    go(lease, due)
    answer(lease, "reshape", at=due + SECOND)
    go(lease, due + 5 * SECOND)
    lease.refresh_from_db()
    assert lease.state == "active" and lease.device_count == 1
    case = watch(case, due + 10 * SECOND)
    assert case.state == "executed" and case.returned_seconds == case.reshape.returned_seconds > 0  # type: ignore[union-attr]


def test_use_after_the_notice_ends_it_for_those_gpus_alone(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage, used_again_seconds=1200)
    case, now = noticed(lease, clock)
    first = lease.placements.order_by("device_id")[0]
    measured(lease, now + HOUR)
    _work(first.device_id, now + 5 * MINUTE, 25)
    case = watch(case, clock(now + 40 * MINUTE))
    assert case.state == "noticed" and case.devices.filter(used_again_at=None).count() == 3
    for row in lease.placements.all():
        _work(row.device_id, now + 5 * MINUTE, 25)
    assert watch(case, clock(now + 45 * MINUTE)).state == "resolved"
    lease.refresh_from_db()
    assert lease.state == "active" and said(case)[-1] == "resolved"


def _work(device: int, since: datetime, minutes: int) -> None:
    from telemetry.models import DeviceMinute

    rows = DeviceMinute.objects.filter(device_id=device, minute__gte=since, minute__lt=since + minutes * MINUTE)
    rows.update(utilisation_percent=80)


def test_a_gap_at_the_end_takes_nothing(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    case = watch(case, clock(now + HOUR))
    assert case.state == "due" and said(case)[-1] == "waits" and case.obstacle == acting.NOT_MEASURED
    measured(lease, now + 2 * HOUR)
    assert watch(case, clock(now + 2 * HOUR)).state == "executing"


def test_an_appeal_gives_the_officers_time_and_silence_lets_the_rule_go_on(
    stage: Stage, lease: Lease, clock: Clock
) -> None:
    rule_on(stage, answer_seconds=10 * 3600)
    case, now = noticed(lease, clock)
    with pytest.raises(Forbidden):
        answering.appeal(actor=stage.cast.viewer, case=case, reason="no")
    at_notice, grace_ends = case.back_seconds, case.due_at
    case = answering.appeal(actor=stage.cast.teammate, case=case, reason="the data set arrives tonight")
    assert case.due_at == now + 10 * HOUR > grace_ends
    put_off = (case.due_at - grace_ends).total_seconds() * case.devices.count()
    case.refresh_from_db()
    assert case.back_seconds == max(0, at_notice - put_off), "what comes back is told of the new day"
    assert Notification.objects.filter(event="idle_appeal", recipient=stage.cast.officer).count() == 1
    with pytest.raises(DomainError):
        answering.appeal(actor=stage.cast.owner, case=case, reason="again")
    measured(lease, now + 10 * HOUR)
    assert watch(case, clock(now + 9 * HOUR)).state == "appealed"
    assert watch(case, clock(now + 10 * HOUR)).state == "executing"


def test_an_officer_upholds_dismisses_or_stops(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    answering.reply(actor=stage.cast.owner, case=case, text="we debug")
    answering.appeal(actor=stage.cast.owner, case=case, reason="we debug")
    with pytest.raises(Forbidden):
        answering.dismiss(actor=stage.cast.operator, case=case, answer="no")
    case = answering.dismiss(actor=stage.cast.officer, case=case, answer="since yesterday?")
    assert case.state == "noticed" and case.due_at == now + HOUR
    case = answering.stop(actor=stage.cast.operator, case=case, reason="our network was down", days=2)
    assert case.state == "stopped" and case.exempt_until
    later = hours_of(lease, now - 2 * HOUR, 6) + HOUR
    assert following.watch(clock(later)) == 0, "it is left alone for two days"
    assert said(case) == ["detected", "noticed", "reply", "appeal", "dismissed", "stopped"]


def test_nobody_answers_or_corrects_for_their_own_organisation(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    answering.appeal(actor=stage.cast.owner, case=case, reason="we debug")
    own = User.objects.get(pk=grant_role(stage.cast.viewer, "administrator").pk)
    span = {"starts_at": now - 4 * HOUR, "ends_at": now - 2 * HOUR}
    for act in (
        lambda: answering.uphold(actor=own, case=case, answer="of course", days=300),
        lambda: answering.dismiss(actor=own, case=case, answer="no"),
        lambda: answering.stop(actor=own, case=case, reason="never mind"),
        lambda: acting.carry_out(actor=own, case=case),
        lambda: correct(actor=own, lease=lease, device=None, **span, to_class="fault", reason="not ours"),
    ):
        with pytest.raises(RuleBroken) as caught:
            act()
        assert caught.value.code == "own_organisation"
    case.refresh_from_db()
    assert case.state == "appealed" and not UsageCorrection.objects.exists()


def test_replies_to_every_officer_have_a_bound(stage: Stage, lease: Lease, clock: Clock, monkeypatch: Any) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    monkeypatch.setattr(answering, "REPLIES_A_DAY", 2)
    for text in ("we debug", "still"):
        answering.reply(actor=stage.cast.owner, case=case, text=text)
    with pytest.raises(WrongState) as caught:
        answering.reply(actor=stage.cast.owner, case=case, text="and still")
    assert caught.value.code == "too_many_replies"
    assert answering.appeal(actor=stage.cast.owner, case=case, reason="we debug").state == "appealed"
    clock(now + 25 * HOUR)
    assert answering.reply(actor=stage.cast.owner, case=case, text="a day later")


def test_a_proposal_waits_for_an_officer(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage, follows="propose")
    case, now = noticed(lease, clock)
    measured(lease, now + 2 * HOUR)
    case = watch(case, clock(now + HOUR))
    assert case.state == "due" and Notification.objects.filter(event="idle_due").exists()
    with pytest.raises(Forbidden):
        acting.carry_out(actor=stage.cast.owner, case=case)
    case = acting.carry_out(actor=stage.cast.officer, case=case, reason="as proposed")
    assert case.state == "executing" and case.steps.get(kind="executing").by == stage.cast.officer
    with pytest.raises(DomainError):
        answering.stop(actor=stage.cast.officer, case=case, reason="too late")


def test_a_rule_that_only_tells_takes_nothing_and_one_that_is_switched_off_lets_go(
    stage: Stage, lease: Lease, clock: Clock
) -> None:
    rule = rule_on(stage, follows="notice")
    case, now = noticed(lease, clock)
    measured(lease, now + 5 * HOUR)
    assert watch(case, clock(now + 5 * HOUR)).state == "noticed"
    idle_rules.switch_off(actor=stage.cast.officer, rule=rule, reason="enough")
    assert watch(case, now + 5 * HOUR).state == "resolved"


def test_the_database_takes_nothing_without_notice(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    for values in ({"noticed_at": None}, {"due_at": now + 3 * HOUR}, {"due_at": case.noticed_at}):
        with pytest.raises(IntegrityError), transaction.atomic():
            IdleCase.objects.filter(pk=case.pk).update(acted_at=now + 2 * HOUR, **values)
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        case.steps.all().delete()


def test_one_click_gives_back_what_is_idle_before_any_rule(stage: Stage, lease: Lease, clock: Clock) -> None:
    assert lease.active_at
    now = clock(lease.active_at + 2 * HOUR)
    measured(lease, now)
    ids = devices_of(lease)
    _work(ids[3], lease.active_at, 119)
    names = [row.device.public_id for row in lease.placements.order_by("device_id")]
    with pytest.raises(DomainError):
        giving_back.give_back_idle(actor=stage.cast.owner, lease=lease, devices=names[3:])
    with pytest.raises(Forbidden):
        giving_back.give_back_idle(actor=stage.cast.viewer, lease=lease)
    giving_back.give_back_idle(actor=stage.cast.owner, lease=lease, devices=names[:3])
    assert lease.reshapes.get().leaving.count() == 3
    giving_back.give_back_idle(actor=stage.cast.owner, lease=lease, devices=names[:3])  # a second click
    with pytest.raises(Forbidden):
        giving_back.give_back_idle(actor=stage.cast.viewer, lease=lease, devices=names[:3])
    assert lease.reshapes.count() == 1


def test_a_second_click_on_the_whole_finds_it_on_its_way(stage: Stage, lease: Lease, clock: Clock) -> None:
    assert lease.active_at
    measured(lease, clock(lease.active_at + 2 * HOUR))
    for _click in range(2):
        assert giving_back.give_back_idle(actor=stage.cast.owner, lease=lease).state == "draining"
    assert AuditEvent.objects.filter(verb="lease.release", target_id=lease.public_id).count() == 1


def test_what_a_case_frees_is_offered_to_whoever_waits(
    stage: Stage, lease: Lease, clock: Clock, django_capture_on_commit_callbacks: Any
) -> None:
    rule_on(stage)
    full(stage, count=8, hours=200)
    entry = join(stage, rival(stage), earliest=stage.now + 12 * HOUR, latest=stage.now + 16 * HOUR)
    case, now = noticed(lease, clock)
    measured(lease, now + HOUR)
    due = clock(now + HOUR)
    watch(case, due)
    WaitEntry.objects.update(next_try_at=due + 5 * HOUR)
    assert serving.serve(due) == 0, "control: it is not looked at before something wakes it"
    freed = devices_of(lease)
    with django_capture_on_commit_callbacks(execute=True):
        brought_back(go(lease, due), due + MINUTE)
    serving.serve(due + MINUTE)
    entry.refresh_from_db()
    assert entry.state == "offered" and entry.lease is not None
    assert devices_of(entry.lease) == freed


@pytest.mark.parametrize(("kind", "grace"), [("security", 0), ("agreement", 7200)])
def test_a_breach_has_its_own_course(stage: Stage, lease: Lease, clock: Clock, kind: str, grace: int) -> None:
    assert lease.active_at
    now = clock(lease.active_at + HOUR)
    asked = {"lease": lease, "kind": kind, "reason": "mining", "basis": "Art. 7"}
    with pytest.raises(Forbidden):
        breaches.open_breach(actor=stage.cast.owner, grace_seconds=grace, **asked)
    case = breaches.open_breach(actor=stage.cast.operator, grace_seconds=grace, **asked)
    assert Notification.objects.filter(event="breach_notice", recipient=stage.cast.owner).count() == 1
    if not grace:
        assert case.state == "executing" and case.acted_at == case.due_at
        return
    assert case.state == "noticed"
    answering.appeal(actor=stage.cast.owner, case=case, reason="it was a test")
    assert watch(case, clock(now + HOUR)).state == "appealed"
    assert watch(case, clock(now + 2 * HOUR)).state == "executing", "an appeal does not move the day of a breach"


def test_a_quiet_house_costs_few_queries(stage: Stage, lease: Lease, clock: Clock) -> None:
    rule_on(stage)
    case, now = noticed(lease, clock)
    measured(lease, now + MINUTE)
    with CaptureQueriesContext(connection) as queries:
        assert following.watch(now + MINUTE) == 0
    assert len(queries) <= 7, [row["sql"][:80] for row in queries]
    assert case.is_open
