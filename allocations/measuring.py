"""What the GPUs of a reservation measured while it had them, and the machines that it had to itself. Reads only.

Charts, comparison and processes of page and API come from here: nothing of before, of after, or of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from allocations.models import Lease, Placement
from allocations.selectors.leases import FRESH, measured_rows, measured_window
from cluster.marks import lease_marks
from cluster.models import Device, Node
from common.templatetags.bitgoeul import moment
from telemetry import charts, host_reading, reading
from telemetry.selectors import latest
from telemetry.windows import MINUTES, Asked, Source, Window, asked_of, window

DEFAULT_RANGE = "24h"
BUSY_SHARE = 0.1
"""A device that was above the idle line for less than a tenth of its measured minutes did not take part in the work."""
ENOUGH_MINUTES = 10
UNEVEN = 0.5
"""The least busy device at less than half of the busiest: they wait for each other, or the work is badly cut."""
NOTHING: charts.Chart = {"unit": "", "series": [], "events": [], "notes": []}
"""The chart of a reservation that was never handed over."""


@dataclass(frozen=True)
class Compared:
    """One device of a lease over the stretch that is shown; None where nothing was measured."""

    device: Device
    since: datetime
    until: datetime
    totals: reading.Totals | None

    @property
    def busy_share(self) -> float | None:
        """Part of the measured minutes above the idle line, 0 to 1."""
        return self.totals.busy_minutes / self.totals.minutes if self.totals and self.totals.minutes else None

    @property
    def busy(self) -> bool:
        """Whether it took part in the work."""
        return (self.busy_share or 0) >= BUSY_SHARE

    @property
    def means(self) -> dict[str, float | None]:
        """The means by figure."""
        return self.totals.means if self.totals else {}

    @property
    def energy_kwh(self) -> float | None:
        """What it drew, by its own counter."""
        return None if self.totals is None or self.totals.energy_j is None else self.totals.energy_j / 3_600_000


@dataclass(frozen=True)
class Comparison:
    """The devices of a lease side by side, over `window`; without one before the handover."""

    window: Window | None
    rows: list[Compared]

    @property
    def measured(self) -> list[Compared]:
        """Devices of which enough is known to judge them."""
        return [row for row in self.rows if row.totals and row.totals.minutes >= ENOUGH_MINUTES]

    @property
    def busy_count(self) -> int:
        """How many took part in the work."""
        return sum(row.busy for row in self.measured)

    @property
    def verdict(self) -> str:
        """In one word what the table shows: too_little, idle, some, uneven or even."""
        if not self.measured:
            return "too_little"
        if self.busy_count == 0:
            return "idle"
        if self.busy_count < len(self.measured):
            return "some"
        used = [row.means["utilisation"] or 0 for row in self.measured]
        return "uneven" if len(used) > 1 and min(used) < UNEVEN * max(used) else "even"

    @property
    def words(self) -> str:
        """The same as a sentence, with what to look at."""
        if self.verdict == "some":
            return _(
                "Busy were %(busy)s of %(all)s GPUs. The others stood by: look whether the program was told to use "
                "them, or give them back."
            ) % {"busy": self.busy_count, "all": len(self.measured)}
        return {
            "too_little": _("Too little was measured in this stretch to compare the GPUs."),
            "idle": _("None of the GPUs was busy in this stretch."),
            "uneven": _(
                "All GPUs were busy, unevenly: the least busy at less than half of the busiest. They may be waiting "
                "for each other or for data."
            ),
            "even": _("All GPUs were busy alike."),
        }[self.verdict]


@dataclass(frozen=True)
class LeaseProcess:
    """A process on a device of a running lease, as its node said it last."""

    device: Device
    pid: int
    name: str
    user: str
    memory_mib: int | None


def lease_chart(lease: Lease, query: Mapping[str, Any], now: datetime) -> charts.Chart:
    """One figure of each GPU of a reservation, with what happened to it: four queries and that of the placements."""
    shown = _shown(lease, query, now)
    if shown is None:
        return NOTHING
    rows = _spans(lease, now)
    named = [(f"{node}/{place}", node, span) for node, place, span in _named(rows)]
    marks = lease_marks(lease.public_id, [(row.device_id, since, until) for row, since, until in rows])
    marks = [mark for mark in marks if shown.start <= mark.at < shown.end]
    return charts.devices_chart(named, str(query.get("metric", "")), shown, marks)


def host_chart(
    lease: Lease, node: Node | None, query: Mapping[str, Any], now: datetime, *, whole: bool
) -> charts.Chart:
    """What a machine of the reservation did. `whole`: all of it (for the agency); else only while nobody else had a GPU
    of the node, because a machine's figures tell of everybody on it.
    """
    shown = _shown(lease, query, now, finest=host_reading.FINEST)
    if shown is None or node is None:
        return NOTHING
    spans = [(since, until) for row, since, until in _spans(lease, now) if row.device.node_id == node.pk]
    begin, end = min(since for since, _until in spans), max(until for _since, until in spans)
    others = [] if whole else others_on(lease, node, begin, end)
    hidden = [(shown.start - timedelta(days=8), begin), (end, shown.end + timedelta(days=8)), *others]
    chart = charts.host_chart(node, str(query.get("metric", "")), shown, hidden=hidden)
    if others:
        chart["notes"].insert(0, _("While others had GPUs of this node, nothing is shown of the machine."))
    return chart


def others_on(lease: Lease, node: Node, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """When other reservations had GPUs of a node within [start, end). One query."""
    rows = Placement.objects.filter(device__node=node, window__overlap=(start, end), lease__active_at__lt=end).exclude(
        lease=lease
    )
    windows = rows.values_list("window", flat=True)
    return [(window.lower or start, window.upper or end) for window in windows if window is not None]


def compare(lease: Lease, query: Mapping[str, Any], now: datetime) -> Comparison:
    """The GPUs of a reservation side by side over the stretch asked for; none before the handover. Two queries."""
    shown = _shown(lease, query, now, finest=MINUTES)
    if shown is None:
        return Comparison(None, [])
    rows = _spans(lease, now)
    spans = [reading.Span(row.pk, row.device_id, since, until) for row, since, until in rows]
    found = reading.totals(spans, shown)
    compared = [Compared(row.device, since, until, found.get(row.pk)) for row, since, until in rows]
    return Comparison(shown, [row for row in compared if row.until > shown.start and row.since < shown.end])


def processes(lease: Lease, now: datetime) -> list[LeaseProcess]:
    """What runs on the GPUs of a running reservation by their newest samples; nothing older than two minutes, or of
    before the handover. Names are for those who may get in (`allocations.rules.may_see_processes`). Two queries.
    """
    if lease.state != "active":
        return []
    held = [(row, since) for row, since, until in _spans(lease, now) if until >= now and not row.released]
    samples = latest(row.device_id for row, _since in held)
    found = []
    for row, since in held:
        sample: Any = samples.get(row.device_id)
        if sample is None or sample.at < max(since, now - FRESH):
            continue
        found += [
            LeaseProcess(
                row.device, each["pid"], each.get("name") or "", each.get("user") or "", each.get("memory_mib")
            )
            for each in sample.processes
        ]
    return found


def nodes_of(lease: Lease, now: datetime) -> list[Node]:
    """The machines whose GPUs the reservation had, by name."""
    return sorted({row.device.node for row, _since, _until in _spans(lease, now)}, key=lambda node: node.name)


def node_named(lease: Lease, name: str | None, now: datetime) -> Node | None:
    """The machine of that name among the reservation's, the first without a name; None before the handover.

    LookupError where it had nothing of that node.
    """
    nodes = nodes_of(lease, now)
    if not name:
        return nodes[0] if nodes else None
    found = next((node for node in nodes if node.name == name), None)
    if found is None:
        raise LookupError(name)
    return found


def _spans(lease: Lease, now: datetime) -> list[tuple[Placement, datetime, datetime]]:
    return [row for row in measured_rows(lease, now) if row[2] > row[1]]


def _named(rows: list[tuple[Placement, datetime, datetime]]) -> list[tuple[str, str, reading.Span]]:
    return [
        (row.device.node.name, str(row.device.place), reading.Span(0, row.device_id, since, until))
        for row, since, until in rows
    ]


def _shown(lease: Lease, query: Mapping[str, Any], now: datetime, finest: Source | None = None) -> Window | None:
    """The stretch asked for, within the use of the reservation: ranges end with it."""
    had = measured_window(lease, now)
    if had is None:
        return None
    asked = asked_of(query, had[1], DEFAULT_RANGE)
    start, end, notes = max(asked.start, had[0]), min(asked.end, had[1]), asked.notes
    if start >= end:
        start, end = had
    if not asked.key and (start, end) != (asked.start, min(asked.end, now)):
        said = _("Only the time in which the reservation has its GPUs is shown: from %(start)s to %(end)s.")
        notes = (*notes, said % {"start": moment(start), "end": moment(end)})
    cut = Asked(start, end, asked.step, asked.key, notes)
    return window(cut, now, finest=finest) if finest else window(cut, now)
