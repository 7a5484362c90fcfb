"""What is past when the demonstration begins, so that figures, hints and statements have something to tell: two weeks,
and the last month that is over, of which the portal's own verb closes the statements.

The awards are made by the verbs; the reservations and what their GPUs measured are written as they would stand there,
and the portal's own judge decides what was made of every minute.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

from accounts.models import User
from allocations.models import Allocation, Lease, LedgerEntry, Placement, UsageMark
from allocations.selectors.usage import decided_until
from allocations.services.usage.deciding import decide_lease, used_in_all
from allocations.services.usage.revising import revise
from cluster.models import Device
from common.actors import RECONCILER
from common.moments import agency_day, begin_of, hour_of
from projects.models import Project
from proposals.models import Decision, Proposal, ProposalVersion
from telemetry import partitions
from usage.services.statements import close_month

DAY = timedelta(days=1)
GPUS = 4
"""So many of the first node, which was there before the others."""
NEIGHBOURS_GPUS = 2
MARGIN = 3 * DAY
"""A month is told as closed once it has been over for so long: what is held since then the judge decides by himself."""
_KINDS: dict[str, tuple[float, ...]] = {
    "busy": (92, 58, 31, 61_000, 560),
    "quiet": (0, 0, 0, 500, 75),
    "parked": (0, 0, 0, 38_000, 78),
}
_KINDS |= {"hung": (100, 0.4, 0, 61_000, 140), "loading": (14, 6, 2, 30_000, 190), "free": (0, 0, 0, 500, 62)}
"""Utilisation, SM and tensor activity in per cent, memory in MiB, watts."""
_FIGURES = "utilisation_percent, sm_active_percent, tensor_active_percent, memory_used_mib, power_watts, temperature_c"
_MINUTES = f"""
INSERT INTO telemetry_deviceminute (device_id, minute, samples, {_FIGURES}, process_count, energy_j)
SELECT %(device)s, minute, 6, %(utilisation)s, %(sm)s, %(tensor)s, %(memory)s, %(watts)s, 30 + %(watts)s / 20, 1,
       60 * %(watts)s
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 minute', interval '1 minute') AS minute
ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants only)
_HOURS = f"""
INSERT INTO telemetry_devicehour (device_id, hour, {_FIGURES}, process_count, energy_j, samples, utilisation_max,
    temperature_max, minutes, busy_minutes)
SELECT device_id, date_trunc('hour', minute), avg(utilisation_percent), avg(sm_active_percent),
       avg(tensor_active_percent), avg(memory_used_mib), avg(power_watts), avg(temperature_c), avg(process_count),
       sum(energy_j), sum(samples), max(utilisation_percent), max(temperature_c), count(*),
       count(*) FILTER (WHERE utilisation_percent > 2)
FROM telemetry_deviceminute WHERE device_id = ANY(%(devices)s) AND minute >= %(start)s AND minute < %(end)s
GROUP BY 1, 2 ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants only)
_MACHINE = """
INSERT INTO telemetry_nodehour (node_id, hour, samples, cpu_percent, load, memory_used_mib, memory_total_mib,
    disk_read_bytes, disk_written_bytes, network_received_bytes, network_sent_bytes)
SELECT %(node)s, hour, 60, %(cpu)s, %(cpu)s, 310000, 1031000, %(disk)s, 40000000, 90000000, 60000000
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 hour', interval '1 hour') AS hour
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class _Turn:
    """A past reservation: how many days ago it began, or on which day of the closed month; how long, by whom; what each
    GPU did in each part of it.
    """

    days: int
    email: str
    note: str
    parts: tuple[tuple[str, ...], ...]
    ago: int = 0
    day: int = 0
    cpu: int = 22
    disk: int = 60_000_000

    def start(self, hour: datetime, month: date) -> datetime:
        """A full hour."""
        return hour - self.ago * DAY if self.ago else begin_of(month) + (self.day - 1) * DAY + _NINE

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return self.days * DAY


_NINE = timedelta(hours=9)
TURNS = (
    _Turn(
        *(2, "manager@yeongsan.example", "센서 융합 예비 실험"),
        (("busy",), ("busy",), ("busy", "quiet"), ("loading",)),
        day=5,
    ),
    _Turn(
        *(5, "manager@yeongsan.example", "사전학습 예비 실험"),
        (("busy",), ("busy",), ("busy",), ("busy", "quiet")),
        ago=15,
    ),
    _Turn(*(3, "member@yeongsan.example", "단일 GPU 평가"), (("busy",), ("quiet",), ("quiet",), ("parked",)), ago=9),
    _Turn(
        *(3, "member@yeongsan.example", "영상 전처리"),
        (("loading", "busy", "hung"), ("loading", "busy"), ("loading", "busy"), ("loading", "parked")),
        ago=5,
        cpu=84,
        disk=720_000_000,
    ),
)
NEIGHBOURS_TURNS = (
    _Turn(3, "manager@mudeung.example", "음성 합성 미세조정", (("busy",), ("busy", "loading")), day=9),
    _Turn(1, "manager@mudeung.example", "음질 평가", (("busy", "quiet"), ("quiet",)), day=13),
)


def closed_month(now: datetime) -> date:
    """The first day of the month that the demonstration tells as closed: the last one that is over for good."""
    return (agency_day(now - MARGIN).replace(day=1) - DAY).replace(day=1)


def tell_history(awards: list[tuple[Allocation, tuple[_Turn, ...]]], devices: list[Device], now: datetime) -> None:
    """Reservations that are over, of the GPUs of one node, with their ledger lines, measurements and evidence; and the
    statements of the month that is closed.
    """
    if decided_until() is not None:
        return  # the judge has begun: what is before his mark stays as it is
    hour, month = hour_of(now), closed_month(now)
    first = begin_of(month)
    Device.objects.filter(pk__in=[device.pk for device in devices]).update(joined_at=first)
    partitions.ensure(now, since=first)
    for allocation, turns in awards:
        _begun(allocation, first)
        for turn in turns:
            start = turn.start(hour, month)
            held = devices[: len(turn.parts)]
            lease = _lease(allocation, turn, held, start)
            _measured(turn, held, start)
            decide_lease(lease, now)
            Lease.objects.filter(pk=lease.pk).update(used_seconds=used_in_all(lease))
    # All that was held until then is decided, lease by lease; the hours between, in which nothing was, need no judge.
    UsageMark.objects.create(name="decided", done_until=hour - _DECIDED)
    revise(now)
    close_month(actor=RECONCILER, month=month, now=now)


_DECIDED = 2 * DAY
"""So long ago the last of these reservations ended."""


def tell_rest(now: datetime) -> None:
    """The same GPUs while nobody had them, up to now; what was measured stays."""
    devices = list(Device.objects.filter(joined_at=begin_of(closed_month(now))))
    first, last = begin_of(closed_month(now)), now.replace(second=0, microsecond=0)
    for device in devices:
        write_minutes(device, "free", first, last)
    write_hours(devices, first, hour_of(now))


def _begun(allocation: Allocation, first: datetime) -> None:
    """The award as it was given then: its proposal a week before, its answer two days."""
    Allocation.objects.filter(pk=allocation.pk).update(valid_from=first)
    Project.objects.filter(pk=allocation.project_id).update(created_at=first)
    proposals = Proposal.objects.filter(public_id=allocation.project.proposal_ref)
    handed_in = {"submitted_at": first - 7 * DAY}
    ProposalVersion.objects.filter(proposal__in=proposals).update(**handed_in)
    proposals.update(**handed_in)
    Decision.objects.filter(proposal__in=proposals).update(decided_at=first - 2 * DAY)


def _lease(allocation: Allocation, turn: _Turn, devices: list[Device], start: datetime) -> Lease:
    end = start + turn.length
    lease = Lease.objects.create(
        allocation=allocation,
        booked_by=User.objects.get(email=turn.email),
        device_count=len(devices),
        starts_at=start,
        ends_at=end,
        state="ended",
        note=turn.note,
        active_at=start,
        drained_at=end,
        access_gone_at=end,
        ended_at=end + timedelta(minutes=1),
        end_reason="expired",
    )
    Lease.objects.filter(pk=lease.pk).update(created_at=start - DAY)
    Placement.objects.bulk_create(
        Placement(
            lease=lease,
            device=device,
            board=device,
            slices=NumericRange(0, allocation.pool.gpu_class.memory_slices),
            window=DateTimeTZRange(start, end),
            released=True,
            node_id=device.node_id,
            organisation_id=allocation.project.organisation_id,
            shared=allocation.pool.shared_nodes,
        )
        for device in devices
    )
    seconds = round(turn.length.total_seconds()) * len(devices)
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            allocation=allocation,
            lease=lease,
            kind=kind,
            device_seconds=moved,
            reason="booked" if kind == "hold" else lease.end_reason,
            actor_label="system:seed",
        )
        for kind, moved in (("hold", -seconds), ("return", seconds), ("settle", -seconds))
    )
    return lease


def _measured(turn: _Turn, devices: list[Device], start: datetime) -> None:
    end = start + turn.length
    for device, parts in zip(devices, turn.parts, strict=True):
        length = (end - start) / len(parts)
        for place, kind in enumerate(parts):
            write_minutes(device, kind, start + place * length, start + (place + 1) * length)
    write_hours(devices, start, end)
    with connection.cursor() as cursor:
        machine: dict[str, Any] = {
            "node": devices[0].node_id,
            "cpu": turn.cpu,
            "disk": turn.disk,
            "start": start,
            "end": end,
        }
        cursor.execute(_MACHINE, machine)


def write_minutes(device: Device, kind: str, start: datetime, end: datetime) -> None:
    """What a GPU of such work measured in each minute of [start, end); what was really measured stays."""
    names = ("utilisation", "sm", "tensor", "memory", "watts")
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "device": device.pk,
            **dict(zip(names, _KINDS[kind], strict=True)),
            "start": start,
            "end": end,
        }
        cursor.execute(_MINUTES, values)


def write_hours(devices: list[Device], start: datetime, end: datetime) -> None:
    """Hours of these minutes; both moments are full hours."""
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, {"devices": [device.pk for device in devices], "start": start, "end": end})
