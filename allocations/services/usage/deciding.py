"""Held minutes are decided once: hour by hour by the clock, and what is left when a lease ends."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Min

from allocations.models import Lease, UsageMark, UsageTotal
from allocations.selectors.usage import days, judging
from allocations.selectors.usage.adding import decided_until
from allocations.selectors.usage.minutes import undecided_since
from allocations.usage_rule import RULE
from common.advisory import alone
from common.moments import agency_day, hour_of

DECIDE_LOCK = 0x6269_7467_0010  # pg advisory lock of the job: two never decide at once
DAYS_LOCK = 0x6269_7467_0011  # held from the making of days to the end of the transaction
LATENESS = timedelta(hours=1)
"""What a node sends later than this after the end of an hour is a correction."""
KEPT = timedelta(days=89)
"""Minutes are kept for 90 days: of what is older nothing can be known any more."""
HOURS_AT_ONCE = 200
"""In one call: whoever begins with months of history goes on in the next."""

_FIELDS = (
    "held_seconds, used_seconds, idle_seconds, parked_seconds, hung_seconds, no_data_seconds, fault_seconds, "
    "maintenance_seconds, samples, energy_j"
)
_DECIDE = f"""{judging.UNDECIDED_HOURS}
INSERT INTO allocations_usagehour (lease_id, device_id, hour, codes, {_FIELDS}, rule_version, decided_at)
SELECT lease_id, device_id, hour, codes, {_FIELDS}, {RULE.version}, %(now)s::timestamptz FROM hours
ON CONFLICT (lease_id, device_id, hour) DO NOTHING
"""  # noqa: S608 (constants only)
_MAKE_DAYS = f"""{days.DAYS}
INSERT INTO allocations_usageday AS d (lease_id, day, {_FIELDS})
SELECT lease_id, day, {_FIELDS} FROM days
ON CONFLICT (lease_id, day) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _FIELDS.split(", "))}
WHERE ({", ".join(f"d.{name}" for name in _FIELDS.split(", "))})
      IS DISTINCT FROM ({", ".join(f"EXCLUDED.{name}" for name in _FIELDS.split(", "))})
RETURNING lease_id
"""  # noqa: S608 (constants only)
_MAKE_TOTALS = f"""
INSERT INTO allocations_usagetotal (lease_id, {_FIELDS})
SELECT lease_id, {", ".join(f"sum({name})" for name in _FIELDS.split(", "))} FROM allocations_usageday
WHERE lease_id = ANY(%(leases)s::bigint[]) GROUP BY lease_id
ON CONFLICT (lease_id) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _FIELDS.split(", "))}
"""  # noqa: S608 (constants only)


def decide(now: datetime) -> int:
    """Decide every hour that ended an hour ago and is not decided; the rows written. Each hour is one transaction.

    Killed half-way, it goes on where it was; run twice, the second finds nothing.
    """
    written = 0
    for _turn in range(HOURS_AT_ONCE):
        rows = _next_hour(now)
        if rows is None:
            break
        written += rows
    return written


@transaction.atomic
def _next_hour(now: datetime) -> int | None:
    if not alone(DECIDE_LOCK):
        return None
    hour = _first_undecided(now)
    if hour is None or hour + timedelta(hours=1) + LATENESS > now:
        return None
    until = hour + timedelta(hours=1)
    written = _insert(hour, until, now)
    if written:
        make_days(hour, until)
    for lease in _handed_over_late(hour, until):
        written += _decide_lease(lease, until, now)
    UsageMark.objects.update_or_create(name="decided", defaults={"done_until": until})
    return written


def _handed_over_late(hour: datetime, until: datetime) -> Iterable[Lease]:
    """Those whose earlier hours were passed by: nobody knew yet whether they would get their GPUs."""
    return Lease.objects.filter(starts_at__lt=hour, active_at__gte=hour, active_at__lt=until)


def _first_undecided(now: datetime) -> datetime | None:
    mark = UsageMark.objects.filter(name="decided").first()
    if mark:
        return mark.done_until
    began: datetime | None = Lease.objects.filter(active_at__isnull=False).aggregate(at=Min("starts_at"))["at"]
    return hour_of(max(began, now - KEPT)) if began else None


def decide_lease(lease: Lease, now: datetime) -> int:
    """Decide all that a lease holds up to now and is not decided yet; the rows written.

    At its end: the caller has locked it, and has made minutes of its samples.
    """
    return _decide_lease(lease, now, now)


def _decide_lease(lease: Lease, now: datetime, decided_at: datetime) -> int:
    if lease.active_at is None:
        return 0
    since = max(undecided_since(lease, decided_until()), now - KEPT)
    until = min(now, lease.drained_at or lease.ends_at)
    written = _insert(min(since, until), until, decided_at, [lease.pk]) if until > lease.starts_at else 0
    if written:
        make_days(min(since, until), until, [lease.pk])
    return written


def _insert(since: datetime, until: datetime, now: datetime, leases: Iterable[int] | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_DECIDE, judging.window(since, until, leases) | {"now": now})
        written: int = cursor.rowcount
    return written


def make_days(since: datetime, until: datetime, leases: Iterable[int] | None = None) -> int:
    """Work out anew the days that touch [since, until); the rows changed. In the transaction that adds hours or
    corrections, after them.

    One transaction at a time: each must see what the others have entered.
    """
    first, last = agency_day(since), agency_day(until - timedelta(microseconds=1))
    lock_days()
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_DAYS, days.values(first, last, leases))
        changed = [lease for (lease,) in cursor.fetchall()]
    make_totals(changed)
    return len(changed)


def make_totals(leases: Iterable[int]) -> None:
    """Add the days of these leases up anew. In the transaction that changed any of them, under `lock_days`."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_TOTALS, {"leases": sorted(set(leases))})


def lock_days() -> None:
    """Keep everybody else from making days and entering corrections until the transaction is over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [DAYS_LOCK])


def used_in_all(lease: Lease) -> int:
    """Decided device-seconds of use of a lease, in seconds of whole GPUs."""
    return UsageTotal.objects.filter(lease=lease).totals()["used_seconds"]
