"""The evidence of a case as a picture: a line a GPU, a stretch a class, minute by minute. Reads only."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.usage_classes import UsageClass
from allocations.usage_models import UsageHour
from common.templatetags.bitgoeul import duration
from usage.models import IdleCase

MOST_HOURS, MOST_DEVICES = 96, 32
MOST_STRETCHES = 240
"""In the table; the file has all."""
QUARTERS = 4
"""The time is written at the picture's edges and at so many parts of it."""


@dataclass(frozen=True)
class Run:
    """A stretch of one class: from where, how long, in minutes from the picture's left edge; since when."""

    x: int
    width: int
    kind: UsageClass
    since: datetime

    @property
    def until(self) -> datetime:
        """Its end, which is no part of it."""
        return self.since + timedelta(minutes=self.width)

    @property
    def text(self) -> str:
        """What it says to the pointer and to the keyboard."""
        return _("%(start)s to %(end)s: %(kind)s, %(length)s") % {
            "start": clock(self.since),
            "end": clock(self.until),
            "kind": self.kind.label,
            "length": duration(timedelta(minutes=self.width)),
        }


@dataclass(frozen=True)
class Line:
    """A GPU, what was decided of its minutes, and the seconds of each class of the legend."""

    device: Any
    runs: tuple[Run, ...]
    shown: tuple[int, ...]
    sums: str
    """The same in words."""

    @property
    def name(self) -> str:
        """The node and the GPU; of a MIG instance its profile, too."""
        return f"{self.device.node.name} / {self.device.place} {self.device.profile}".strip()


@dataclass(frozen=True)
class Tick:
    """A time that is written under the picture, at so many minutes from its left edge; `inner`: not at an edge or in
    the middle, and left out where there is little room.
    """

    x: int
    at: datetime
    inner: bool

    @property
    def text(self) -> str:
        """Day and time of day; the zone stands once, beside the axis."""
        return clock(self.at)


@dataclass(frozen=True)
class Picture:
    """What was measured from the window's start to the last decided hour; bounded, and says what it leaves out."""

    start: datetime
    end: datetime
    lines: tuple[Line, ...]
    legend: tuple[UsageClass, ...]
    minutes: int
    notice_x: int | None
    left_out: int

    @property
    def ticks(self) -> list[Tick]:
        """Edges and quarters, for the axis of time."""
        places = [self.minutes * part // QUARTERS for part in range(QUARTERS + 1)]
        return [Tick(x, self.start + timedelta(minutes=x), part % 2 == 1) for part, x in enumerate(places)]

    @property
    def notice_width(self) -> int:
        """Of its mark, in minutes: seen at any scale."""
        return max(1, self.minutes // 200)

    @property
    def stretches(self) -> list[tuple[Line, Run]]:
        """Every stretch of every GPU, for the table and the file."""
        return [(line, run) for line in self.lines for run in line.runs]


def clock(at: datetime) -> str:
    """`11-27 23:00` in the reader's zone."""
    return timezone.localtime(at).strftime("%m-%d %H:%M")


def picture(case: IdleCase) -> Picture | None:
    """The evidence window and what followed, of the case's own GPUs; None of a breach. Two queries."""
    if case.window_start is None:
        return None
    rows = list(case.devices.select_related("device__node").order_by("device__node__name", "device__index"))
    shown = rows[:MOST_DEVICES]
    last = case.window_start + timedelta(hours=MOST_HOURS)
    hours = UsageHour.objects.filter(
        lease_id=case.lease_id,
        device__in=[row.device_id for row in shown],
        hour__gte=case.window_start,
        hour__lt=min(last, case.ended_at or last),
    )
    found: dict[int, dict[datetime, str]] = {row.device_id: {} for row in shown}
    for device_id, hour, codes in hours.values_list("device_id", "hour", "codes"):
        found[device_id][hour] = codes
    end = max([case.window_end or last, *(hour + timedelta(hours=1) for each in found.values() for hour in each)])
    minutes = int((end - case.window_start).total_seconds() // 60)
    runs = [_runs(found[row.device_id], case.window_start) for row in shown]
    there = {run.kind for each in runs for run in each}
    legend = tuple(kind for kind in UsageClass if kind in there)
    notice = int((case.noticed_at - case.window_start).total_seconds() // 60) if case.noticed_at else None
    return Picture(
        start=case.window_start,
        end=end,
        lines=tuple(_line(row, runs[number], legend) for number, row in enumerate(shown)),
        legend=legend,
        minutes=minutes,
        notice_x=notice if notice is not None and notice < minutes else None,
        left_out=len(rows) - len(shown),
    )


def _line(row: Any, runs: list[Run], legend: tuple[UsageClass, ...]) -> Line:
    seconds = tuple(60 * sum(run.width for run in runs if run.kind == kind) for kind in legend)
    said = [
        f"{kind.label} {duration(timedelta(seconds=each))}" for kind, each in zip(legend, seconds, strict=True) if each
    ]
    return Line(row.device, tuple(runs), seconds, ", ".join(said))


def _runs(hours: dict[datetime, str], start: datetime) -> list[Run]:
    runs: list[Run] = []
    for hour in sorted(hours):
        x = int((hour - start).total_seconds() // 60)
        for letter, group in groupby(hours[hour].ljust(60)[:60]):
            width = len(list(group))
            if letter.strip():
                runs.append(Run(x, width, UsageClass.of_letter(letter), start + timedelta(minutes=x)))
            x += width
    return _merged(runs)


def _merged(runs: list[Run]) -> list[Run]:
    """Runs that touch and are of one class are one."""
    found: list[Run] = []
    for run in runs:
        if found and found[-1].kind == run.kind and found[-1].x + found[-1].width == run.x:
            found[-1] = replace(found[-1], width=found[-1].width + run.width)
        else:
            found.append(run)
    return found
