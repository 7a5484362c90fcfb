"""GPUs that stand idle, and the course that follows: a rule, a reservation, the notice to its members.

The rule is written, tried out against the two past weeks and switched on by its verbs. The reservation is booked and
really handed over; once it is, its beginning is moved into the past, with what its GPUs would have measured since.
Then the portal's own judge decides, and its own watch opens the case.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from accounts.models import User
from allocations.models import Allocation, Lease
from allocations.selectors.balances import window_lines
from allocations.services import ledger
from allocations.services.booking import book
from allocations.services.usage.deciding import LATENESS, decide, decide_lease
from allocations.shapes import Shape
from cluster.models import Handover, Pool
from common.actors import SEED
from common.moments import hour_of
from portal.demo.workloads import WorkloadOrder, place_order
from portal.seeding.history import GPUS, tell_rest, write_hours, write_minutes
from usage.services import following, idle_rules

HOUR = timedelta(hours=1)
NOTE = "보행 로봇 정책 학습"
BEGAN, STOPPED = 46 * HOUR, 26 * HOUR
"""So long ago the reservation began, and so long ago work on it stopped."""
EARLIER = "시연을 위해 시작 시각을 앞당겼습니다."
KINDS = ("quiet", "quiet", "quiet", "parked")
MEMORY_MIB = 38_000
HOLDS_MINUTES = 24 * 60
WAIT_SECONDS = 90.0


def switch_rule_on(pool: Pool) -> None:
    """Four idle GPUs are noticed after half a day; an officer decides what follows."""
    officer = User.objects.get(email="officer@agency.example")
    values = {"window_seconds": 12 * 3600, "grace_seconds": 6 * 3600, "follows": "propose"}
    reason = "기다리는 기업이 있는 풀이므로 쓰지 않는 GPU를 돌려받습니다."
    rule = idle_rules.draft(actor=officer, pool=pool, agreement=None, values=values, reason=reason)
    rule = idle_rules.try_out(actor=officer, rule=rule, days=30)
    seen = "시험 적용 결과를 검토하였고, 통지 후 6시간의 답변 기간이 충분합니다."
    idle_rules.switch_on(actor=officer, rule=rule, reason=seen)


def reserve(allocation: Allocation, now: datetime, until: datetime) -> None:
    """The reservation that will stand idle, from now on: nodes hand over nothing in the past."""
    member = User.objects.get(email="member@yeongsan.example")
    book(
        actor=member,
        allocation=allocation,
        device_count=GPUS,
        starts_at=now,
        ends_at=until,
        note=NOTE,
        shape=Shape("same_node"),
    )


def wait_and_tell(folder: Path, say: Callable[[str], object]) -> bool:
    """As `tell_course`, once the nodes have handed the GPUs over; False where that takes too long."""
    until = time.monotonic() + WAIT_SECONDS
    while (lease := _untold()) is not None and lease.state != "active":
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    if lease is not None:
        place_order(folder / "workloads", tell_course(lease, timezone.now()))
        say("a reservation whose GPUs stand idle, and its notice")
    tell_rest(timezone.now())
    decide(timezone.now())  # at once: the judge's own turns would take minutes after the greeting
    return True


def _untold() -> Lease | None:
    """The reservation, while its beginning is where it was booked and it may still begin or go on."""
    rows = Lease.objects.filter(note=NOTE, state__in=("scheduled", "preparing", "prepare_stuck", "active"))
    return rows.filter(starts_at__gt=timezone.now() - BEGAN + HOUR).first()


@transaction.atomic
def tell_course(lease: Lease, now: datetime) -> WorkloadOrder:
    """Move the beginning of a running reservation into the past, with its measurements, and let the watch see it; the
    program that is to hold memory on one of its GPUs.
    """
    lease = Lease.objects.select_for_update(no_key=True).get(pk=lease.pk)
    start, decided = hour_of(now) - BEGAN, hour_of(now - LATENESS)
    rows = list(lease.placements.filter(released=False).select_related("device__node").order_by("device__index"))
    before = window_lines(lease, lease.ends_at)
    lease.starts_at, lease.active_at = start, now
    ledger.hold(lease, before, window_lines(lease, lease.ends_at), actor=SEED, reason=EARLIER)
    Lease.objects.filter(pk=lease.pk).update(starts_at=start, active_at=start, created_at=start - HOUR)
    Handover.objects.filter(lease_ref=lease.public_id, moment="start").update(taken_at=start)
    for row, kind in zip(rows, KINDS, strict=True):
        row.window = DateTimeTZRange(start, row.window.upper)
        row.save(update_fields=["window"])
        write_minutes(row.device, "busy", start, start + BEGAN - STOPPED)
        write_minutes(row.device, kind, start + BEGAN - STOPPED, now.replace(second=0, microsecond=0))
    write_hours([row.device for row in rows], start, hour_of(now))
    decide_lease(lease, decided)  # handed over now, as it says here: nothing before is decided yet
    following.watch(now)
    parked = rows[KINDS.index("parked")].device
    return WorkloadOrder(parked.node.name, (parked.index,), "idle", MEMORY_MIB, HOLDS_MINUTES)
