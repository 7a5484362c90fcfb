"""Minutes of samples, hours of minutes, days of hours: by watermark, in pieces, re-runnable at any time.

Each piece and its mark are one transaction: a job that is killed goes on where it was. What came late is noted at
ingest (LateHour) and made anew from its hour on, so that what the energy counter gained is told to the right minutes.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from common.advisory import alone
from telemetry.models import LateHour, RollupMark
from telemetry.samples import FUTURE_TOLERANCE
from telemetry.selectors import USED_ABOVE_PERCENT
from telemetry.services.rollup_sql import DAYS, HOURS, MINUTES, POOL_HOURS, POOL_MINUTES

ROLLUP_LOCK = 0x6269_7467_0020  # pg advisory lock: one rollup works at a time
WINDOW = timedelta(hours=2)
"""How far back a first rollup looks, and that of some devices: a sample is at most that late."""
HOURS_WINDOW = timedelta(hours=3)
OVERLAP = timedelta(minutes=3)
"""Made again each time: what was on its way when the last rollup looked. More than ingest calls late, by a minute that
a delivery has to be committed in.
"""
HOURS_OVERLAP = timedelta(minutes=10)
PIECE = timedelta(minutes=15)
HOURS_PIECE = timedelta(hours=6)
LATE_NODES = 100
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def roll_up(now: datetime, *, device_ids: Iterable[int] | None = None) -> int:
    """Make minutes of the samples since the last time, and of what came late; the rows written. May run again at any
    time: same result.

    `device_ids`: of these devices alone the last two hours (sealing a lease's usage does not wait for the next round).
    """
    if device_ids is not None:
        return _write(MINUTES, since=_floor(now - WINDOW, MINUTE), until=now + FUTURE_TOLERANCE, devices=device_ids)
    written = 0
    for start, end in _pieces("minutes", now, first=WINDOW, overlap=OVERLAP, step=PIECE, unit=MINUTE):
        with transaction.atomic():
            if not alone(ROLLUP_LOCK):
                return written
            until = end if end < now else now + FUTURE_TOLERANCE
            written += _write(MINUTES, since=start, until=until)
            _write(POOL_MINUTES, since=start, until=until)
            _mark("minutes", min(end, now))
    return written + _roll_late(now)


def roll_up_hours(now: datetime, *, since: datetime | None = None) -> int:
    """Make hours of the minutes since the last time, of devices and of pools, and days of hours that are over; the rows
    written. May run again at any time; with `since` from then on, whatever was made.

    A device counts for the pool that its node is in at that time.
    """
    written, begun = 0, _floor(now, HOUR)
    pieces = list(
        _pieces("hours", now, first=HOURS_WINDOW, overlap=HOURS_OVERLAP, step=HOURS_PIECE, unit=HOUR, since=since)
    )
    for start, end in pieces:
        with transaction.atomic():
            if not alone(ROLLUP_LOCK):
                return written
            written += _hours(start, end)
            if start < begun:
                written += _days(start, end)
            _mark("hours", min(end, now))
    return written


def _roll_late(now: datetime) -> int:
    """What came after its minutes were made: minutes, hours and days anew, from the earliest hour on."""
    written = 0
    while True:
        with transaction.atomic():
            if not alone(ROLLUP_LOCK):
                return written
            nodes = list(LateHour.objects.filter(rolled_at=None).values_list("node", flat=True).distinct()[:LATE_NODES])
            notes = list(LateHour.objects.filter(rolled_at=None, node__in=nodes).values_list("pk", "hour"))
            if not notes:
                return written
            since, until = min(hour for _pk, hour in notes), now + FUTURE_TOLERANCE
            with connection.cursor() as cursor:
                cursor.execute("SELECT id FROM cluster_device WHERE node_id = ANY(%s)", [nodes])
                devices = [pk for (pk,) in cursor.fetchall()]
            written += _write(MINUTES, since=since, until=until, devices=devices)
            _write(POOL_MINUTES, since=since, until=until)
            _hours(since, until, devices)
            _days(since, until, devices)
            LateHour.objects.filter(pk__in=[pk for pk, _hour in notes]).update(rolled_at=now)


def _hours(since: datetime, until: datetime, devices: Iterable[int] | None = None) -> int:
    """Hours of devices, then those of the pools."""
    since = _floor(since, HOUR)
    _write(HOURS, since=since, until=until, devices=devices)
    return _write(POOL_HOURS, since=since, until=until)


def _days(since: datetime, until: datetime, devices: Iterable[int] | None = None) -> int:
    return _write(DAYS, since=since, until=until, devices=devices)


def _pieces(
    name: str,
    now: datetime,
    *,
    first: timedelta,
    overlap: timedelta,
    step: timedelta,
    unit: timedelta,
    since: datetime | None = None,
) -> Iterator[tuple[datetime, datetime]]:
    """From the mark, a little before it, up to now. What is older than the samples are kept cannot be made any more."""
    mark = RollupMark.objects.filter(name=name).values_list("done_until", flat=True).first()
    begin = since or (min(mark, now) - overlap if mark else now - first)
    start = _floor(max(begin, now - timedelta(days=settings.TELEMETRY_KEEP_SAMPLES_DAYS)), unit)
    while start < now:
        end = _floor(start + step, unit)
        yield start, end
        start = end


def _mark(name: str, until: datetime) -> None:
    RollupMark.objects.update_or_create(name=name, defaults={"done_until": until})


def _write(sql: str, *, since: datetime, until: datetime, devices: Iterable[int] | None = None) -> int:
    """Of these devices, of all where None; the rows that are new or other than they were."""
    values = {
        "since": since,
        "until": until,
        "devices": None if devices is None else list(devices),
        "above": USED_ABOVE_PERCENT,
        "zone": settings.TIME_ZONE,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        written: int = cursor.rowcount
    return written


def _floor(moment: datetime, unit: timedelta) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return moment - (moment - epoch) % unit
