"""GPUs that were handed over and never used: a notice first, and taken back only if nothing runs on them by then.

What a minute was is the evidence's word (`allocations.selectors.usage`). Whoever has worked, hung or filled memory has
come; what was not measured, or was maintained or the provider's fault, is held against nobody.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_noop

from allocations.models import BookingRules, Lease, Placement
from allocations.rulebook import HOUSE
from allocations.selectors.usage import UsageSums, use_since
from allocations.services import ending, telling
from allocations.services.steps import lock_lease
from audit import services as audit
from common.actors import RECONCILER
from telemetry.services import roll_up

log = logging.getLogger(__name__)

UNUSED = gettext_noop("The GPUs were not used within the time that the rules allow.")
MEASURED_PERCENT = 90
"""Of the time since the handover of every GPU, idle: below that a gap may hide use, and nothing follows from it."""
_SECOND = timedelta(seconds=1)
_OWN = (
    Q(allocation=OuterRef("allocation")),
    Q(agreement=OuterRef("allocation__project__agreement")),
    Q(pool=OuterRef("allocation__pool")),
)


def watch(now: datetime) -> int:
    """Tell, take back, or note the use; the number of leases moved. One query where nothing is due, two more where
    something is, and those of its own for each lease that something is done about.
    """
    rows = list(_watched(now))
    if not rows:
        return 0
    use = use_since(_spans(rows, now), now)
    moved = 0
    for row in rows:
        try:
            moved += _judge(row, use.get(row.pk), now)
        except Exception:  # one ill lease must not hide the others
            log.exception("the use of %s could not be judged", row.public_id)
    return moved


def _watched(now: datetime) -> QuerySet[Any]:
    """Running leases whose use was never noticed: those told already, and those whose time to begin is over.

    Where the notice would end after the lease, nobody is told.
    """
    rows = Lease.objects.filter(state="active", use_noticed_at=None, ends_at__gt=now).annotate(
        unused=_rule("no_show_seconds"), grace=_rule("no_show_grace_seconds")
    )
    began = ExpressionWrapper(F("active_at") + _length("unused"), output_field=DateTimeField())
    due = ExpressionWrapper(F("ends_at") - _length("grace"), output_field=DateTimeField())
    rows = rows.annotate(must_begin_by=began, last_notice_at=due)
    return rows.filter(
        Q(no_show_told_at__isnull=False) | Q(unused__gt=0, must_begin_by__lte=now, last_notice_at__gt=now)
    ).order_by("pk")


def _rule(name: str) -> Coalesce:
    """The narrowest word on a rule, in the statement that asks for the leases."""
    house = getattr(HOUSE, name).value
    return Coalesce(*(Subquery(BookingRules.objects.filter(own).values(name)[:1]) for own in _OWN), Value(house))


def _length(name: str) -> ExpressionWrapper:
    return ExpressionWrapper(F(name) * Value(_SECOND, output_field=DurationField()), output_field=DurationField())


def _spans(leases: list[Any], now: datetime) -> list[tuple[int, int, int, datetime]]:
    """Since when each lease has had each of its devices: what these measured before is somebody else's."""
    began = {lease.pk: max(lease.active_at, lease.starts_at) for lease in leases}
    held = Placement.objects.filter(lease__in=began, released=False, used_until=None)
    rows = held.values_list("lease_id", "device_id", "used_from")
    return [(pk, pk, device_id, min(now, max(began[pk], came or began[pk]))) for pk, device_id, came in rows]


@transaction.atomic
def _judge(row: Any, use: UsageSums | None, now: datetime) -> int:
    """What follows from what was measured of one lease; a lease that somebody holds is passed by."""
    if not _is_due(row, use, now):
        return 0
    if not Lease.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=row.pk, state="active").exists():
        return 0
    lease = lock_lease(row.pk)
    # What was measured in the last minutes counts, too: they are rolled up before anything is held against anybody.
    spans = _spans([lease], now)
    roll_up(now, device_ids=[device_id for _whose, _lease, device_id, _since in spans])
    use = use_since(spans, now).get(lease.pk)
    if _was_used(use):
        return _used(lease, now)
    if not row.unused:
        return _withdraw(lease)
    if not _is_measured(spans, use, now):
        return 0
    if lease.no_show_due_at is None:
        return _tell(lease, now, now + timedelta(seconds=row.grace))
    if now < lease.no_show_due_at:
        return 0
    ending.reclaim(actor=RECONCILER, lease=lease, reason=UNUSED)
    return 1


def _was_used(use: UsageSums | None) -> bool:
    """Whether anything ever ran on one of them; a program that holds memory and sleeps is not one that never came."""
    return use is not None and bool(use.used_seconds or use.hung_seconds or use.parked_seconds)


def _is_due(row: Any, use: UsageSums | None, now: datetime) -> bool:
    """Whether something may have to be done: it was used, the rule is gone, or it was not used in time."""
    if _was_used(use) or not row.unused:
        return True
    return use is not None and (row.no_show_due_at is None or now >= row.no_show_due_at)


def _is_measured(spans: list[tuple[int, int, int, datetime]], use: UsageSums | None, now: datetime) -> bool:
    whole = sum((now - span[-1]).total_seconds() for span in spans)
    return use is not None and 100 * use.idle_seconds >= MEASURED_PERCENT * whole


def _tell(lease: Lease, now: datetime, due_at: datetime) -> int:
    lease.no_show_told_at, lease.no_show_due_at = now, due_at
    lease.save(update_fields=["no_show_told_at", "no_show_due_at"])
    audit.record(actor=RECONCILER, verb="lease.no_show_told", target=lease, changes={"due_at": due_at})
    telling.tell_partner(lease, "lease_no_show", due_at=telling.local(due_at))
    return 1


def _used(lease: Lease, now: datetime) -> int:
    told, lease.no_show_told_at, lease.no_show_due_at = lease.no_show_told_at, None, None
    lease.use_noticed_at = now
    lease.save(update_fields=["use_noticed_at", "no_show_told_at", "no_show_due_at"])
    if told is not None:
        audit.record(actor=RECONCILER, verb="lease.no_show_cleared", target=lease, changes={"told_at": told})
    return 1


def _withdraw(lease: Lease) -> int:
    """The rule holds no longer: neither does the notice."""
    told, lease.no_show_told_at, lease.no_show_due_at = lease.no_show_told_at, None, None
    lease.save(update_fields=["no_show_told_at", "no_show_due_at"])
    changes = {"told_at": told, "why": "the rule holds no longer"}
    audit.record(actor=RECONCILER, verb="lease.no_show_cleared", target=lease, changes=changes)
    return 1
