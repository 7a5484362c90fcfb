"""What a month's statement says of an organisation, worked out from hours and corrections. Reads only."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.utils import timezone

from allocations.models import Lease, UsageCorrection, UsageHour
from allocations.selectors.usage import UsageSums
from allocations.selectors.usage.days import as_they_were
from common.moments import begin_of
from partners.models import Organisation
from usage.models import Statement

VERSION = 1


def month_of(day: date) -> tuple[date, date]:
    """The first and the last day of the month in which a day lies."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def newest_correction() -> int:
    """The key of the newest correction; 0: there is none. Whoever holds the lock of the days knows all before it."""
    return UsageCorrection.objects.order_by("-id").values_list("id", flat=True).first() or 0


def sums_of_month(
    organisation: Organisation, month: date, *, known: int, as_of: datetime, zone: tzinfo | None = None
) -> list[tuple[Lease, date, UsageSums]]:
    """(lease, day, sums) of an organisation's month with the corrections up to a key: two queries. `zone`: in which its
    days lie; None: the agency's.
    """
    first, last = month_of(month)
    since, until = begin_of(first, zone), begin_of(last + timedelta(days=1), zone)
    leases = {
        lease.pk: lease
        for lease in Lease.objects.filter(
            allocation__project__organisation=organisation, starts_at__lt=until, active_at__isnull=False
        )
        .exclude(drained_at__lte=since)
        .select_related("allocation__project", "allocation__pool__gpu_class")
    }
    rows = as_they_were(first, last, leases, known=known, as_of=as_of, zone=zone)
    return [(leases[key], day, sums) for key, day, sums in rows if sums]


def document(
    organisation: Organisation, month: date, *, number: str, known: int, now: datetime, previous: Statement | None
) -> dict[str, Any]:
    """Everything that the statement says: a fixed number of queries. `previous` is the one before it in the chain."""
    first, last = month_of(month)
    rows = sums_of_month(organisation, month, known=known, as_of=now)
    before = Statement.objects.filter(organisation=organisation, month__lt=first).order_by("-month").first()
    hours = UsageHour.objects.filter(
        lease__in={lease.pk for lease, _day, _sums in rows},
        hour__gte=begin_of(first),
        hour__lt=begin_of(last + timedelta(days=1)),
    )
    return {
        "version": VERSION,
        "number": number,
        "organisation": {
            "id": organisation.public_id,
            "name_ko": organisation.name_ko,
            "name_en": organisation.name_en,
            "registration_number": organisation.registration_number,
        },
        "month": f"{first:%Y-%m}",
        "time_zone": timezone.get_default_timezone_name(),
        "closed_at": now.isoformat(),
        "unit": "seconds of whole GPUs",
        "rule_versions": sorted(set(hours.order_by().values_list("rule_version", flat=True).distinct())),
        "totals": asdict(UsageSums.total(sums for _lease, _day, sums in rows)),
        "days": _added((str(day), {}, sums) for _lease, day, sums in rows),
        "projects": _added((each.public_id, {"title": each.title}, sums) for each, sums in _projects(rows)),
        "leases": _added((lease.public_id, _told(lease), sums) for lease, _day, sums in rows),
        "corrections": _corrections(organisation, before, begin_of(first), known) if before else [],
        "added_hours": _added_hours(organisation, before, begin_of(first)) if before else [],
        "previous": {"number": previous.number, "sha256": previous.sha256} if previous else None,
    }


def _projects(rows: list[tuple[Lease, date, UsageSums]]) -> Iterable[tuple[Any, UsageSums]]:
    return ((lease.allocation.project, sums) for lease, _day, sums in rows)


def _told(lease: Lease) -> dict[str, Any]:
    return {
        "project": lease.allocation.project.public_id,
        "pool": lease.allocation.pool.name,
        "gpu_class": lease.allocation.pool.gpu_class.code,
        "devices": lease.device_count,
        "profile": lease.profile,
    }


def _added(rows: Iterable[tuple[str, dict[str, Any], UsageSums]]) -> list[dict[str, Any]]:
    """By name, in its order; samples and energy with them."""
    sums: dict[str, UsageSums] = defaultdict(UsageSums)
    words: dict[str, dict[str, Any]] = {}
    for key, told, part in rows:
        sums[key] += part
        words[key] = told
    return [{"id": key, **words[key], **asdict(sums[key])} for key in sorted(sums)]


def _corrections(organisation: Organisation, before: Statement, since: datetime, known: int) -> list[dict[str, Any]]:
    """Those of earlier months that the statement before this one did not know: seconds of devices."""
    rows = UsageCorrection.objects.filter(
        lease__allocation__project__organisation=organisation,
        id__gt=before.last_correction,
        id__lte=known,
        hour__lt=since,
    ).select_related("lease", "device")
    return [
        {
            "id": row.public_id,
            "lease": row.lease.public_id,
            "device": row.device.uuid,
            "hour": row.hour.isoformat(),
            "first_minute": row.first_minute,
            "last_minute": row.last_minute,
            "from": row.from_class,
            "to": row.to_class,
            "seconds": row.seconds,
            "reason": row.reason,
            "at": row.at.isoformat(),
        }
        for row in rows.order_by("id")
    ]


def _added_hours(organisation: Organisation, before: Statement, since: datetime) -> list[dict[str, Any]]:
    """Hours of earlier months that were decided after they were closed (a handover that took that long)."""
    rows = UsageHour.objects.filter(
        lease__allocation__project__organisation=organisation, decided_at__gt=before.closed_at, hour__lt=since
    ).select_related("lease", "device")
    return [
        {"lease": row.lease.public_id, "device": row.device.uuid, "hour": row.hour.isoformat(), "codes": row.codes}
        for row in rows.order_by("hour", "lease_id", "device_id")
    ]
