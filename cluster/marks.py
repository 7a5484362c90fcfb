"""What happened, as marks on the time axis of a chart: events, handovers, what the driver was told, maintenance.

Bounded: what is of one kind and says the same within one step of the chart is one mark, with how often it happened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from cluster.event_words import event_words
from cluster.models import DeviceEvent, Handover, MaintenanceWindow, NodeCommand
from cluster.selectors import with_meaning

ROWS_READ = 500
MARKS_SHOWN = 200
TOLD = ("grant", "extend", "revoke", "reclaim", "reshape", "partition")
"""Verbs that change what runs on a node; a check of devices changes nothing."""


@dataclass(frozen=True)
class Mark:
    """One mark; `kind` is the look: xid, handover, driver, maintenance or other. `label` in the reader's language."""

    at: datetime
    kind: str
    label: str


def node_marks(node_id: int, start: datetime, end: datetime) -> list[Mark]:
    """Everything that happened to a node and its devices in [start, end), oldest first: four queries."""
    return _in_order(
        _events(DeviceEvent.objects.filter(node=node_id), start, end, places=True),
        _handovers(Handover.objects.filter(device__node=node_id), start, end),
        _commands(NodeCommand.objects.filter(node=node_id), start, end),
        _maintenance(node_id, start, end),
    )


def device_marks(device_id: int, node_id: int, start: datetime, end: datetime) -> list[Mark]:
    """What happened to one device, and to its node as a whole, in [start, end), oldest first: four queries."""
    whole = Q(node=node_id, device=None)
    return _in_order(
        _events(DeviceEvent.objects.filter(Q(device=device_id) | whole), start, end),
        _handovers(Handover.objects.filter(device=device_id), start, end),
        _commands(NodeCommand.objects.filter(node=node_id), start, end),
        _maintenance(node_id, start, end),
    )


def lease_marks(lease_ref: str, spans: Iterable[tuple[int, datetime, datetime]]) -> list[Mark]:
    """What happened to the devices of a lease while it had them, (device, from, until) each, its handovers and what its
    nodes were told: three queries. Nothing of others, and nothing of before or after.
    """
    held = list(spans)
    if not held:
        return []
    start, end = min(row[1] for row in held), max(row[2] for row in held)
    own = Q(pk__in=[])
    for device_id, begin, until in held:
        own |= Q(device=device_id, at__gte=begin, at__lt=until)
    return _in_order(
        _events(DeviceEvent.objects.filter(own, Q(kind="xid") | Q(kind="lost")), start, end, places=True),
        _handovers(Handover.objects.filter(lease_ref=lease_ref), start, end),
        _commands(NodeCommand.objects.filter(lease_ref=lease_ref), start, end, named=False),
    )


def gathered(marks: Sequence[Mark], start: datetime, step: timedelta) -> tuple[list[dict[str, Any]], int]:
    """The marks as a chart's JSON has them, and how many of the oldest are left out: a chart shows MARKS_SHOWN."""
    found: dict[tuple[int, str, str], list[datetime]] = {}
    for mark in marks:
        found.setdefault(((mark.at - start) // step, mark.kind, mark.label), []).append(mark.at)
    rows: list[dict[str, Any]] = [
        {
            "at": int(times[0].timestamp() * 1000),
            "kind": kind,
            "label": label if len(times) == 1 else f"{label} (×{len(times)})",
        }
        for (_step, kind, label), times in found.items()
    ]
    rows.sort(key=lambda row: row["at"])
    return rows[-MARKS_SHOWN:], max(0, len(rows) - MARKS_SHOWN)


def _in_order(*lists: list[Mark]) -> list[Mark]:
    return sorted((mark for each in lists for mark in each), key=lambda mark: mark.at)


def _events(rows: QuerySet[DeviceEvent], start: datetime, end: datetime, *, places: bool = False) -> list[Mark]:
    found = with_meaning(rows.filter(at__gte=start, at__lt=end)).select_related("device__node")[:ROWS_READ]
    marks = []
    for event in found:
        words = event_words(event)
        named = f"{event.device.node.name}/{event.device.place}: {words}" if places and event.device else words
        marks.append(Mark(event.at, "xid" if event.kind == "xid" else "other", named))
    return marks


def _handovers(rows: QuerySet[Handover], start: datetime, end: datetime) -> list[Mark]:
    """One mark a lease and moment: the devices of a lease are handed over together."""
    seen = rows.filter(taken_at__gte=start, taken_at__lt=end).order_by("-taken_at")
    marks: dict[tuple[str, str, bool], Mark] = {}
    for row in seen.values_list("lease_ref", "moment", "passed", "taken_at")[:ROWS_READ]:
        lease, moment, passed, at = row
        said = _("handed over: %(lease)s") if moment == Handover.Moment.START else _("returned: %(lease)s")
        said = said if passed else _("a check before or after %(lease)s was not passed")
        marks[lease, moment, passed] = Mark(at, "handover", said % {"lease": lease})
    return list(marks.values())


def _commands(rows: QuerySet[NodeCommand], start: datetime, end: datetime, *, named: bool = True) -> list[Mark]:
    done = rows.filter(finished_at__gte=start, finished_at__lt=end, verb__in=TOLD).order_by("-finished_at")
    return [
        Mark(
            command.finished_at,
            "driver",
            f"{command.get_verb_display()} · {command.lease_ref}" if named else command.get_verb_display(),
        )
        for command in done[:ROWS_READ]
        if command.finished_at
    ]


def _maintenance(node_id: int, start: datetime, end: datetime) -> list[Mark]:
    windows = MaintenanceWindow.objects.filter(node=node_id, cancelled_at=None, starts_at__lt=end, ends_at__gt=start)
    marks = []
    for window in windows[:ROWS_READ]:
        for at, said in ((window.starts_at, _("maintenance begins: %s")), (window.ends_at, _("maintenance ends: %s"))):
            if start <= at < end:
                marks.append(Mark(at, "maintenance", said % window.reason))
    return marks
