"""The evidence of a case as a picture: a line a GPU, a stretch a class, minute by minute. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from allocations.usage_classes import UsageClass
from allocations.usage_models import UsageHour
from usage.models import IdleCase

MOST_HOURS, MOST_DEVICES = 96, 32
LINE = 18
"""Height of a line, in the picture's own units; a unit across is a minute."""


@dataclass(frozen=True)
class Run:
    """A stretch of one class: from where, how long, in minutes from the picture's left edge."""

    x: int
    width: int
    kind: UsageClass

    @property
    def text(self) -> str:
        """What it says on hover."""
        return f"{self.kind.label}: {self.width} min"


@dataclass(frozen=True)
class Line:
    """A GPU, what was decided of its minutes, and the seconds of each class of the legend."""

    device: Any
    y: int
    runs: tuple[Run, ...]
    shown: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """What was measured from the window's start to the last decided hour; bounded, and says what it leaves out."""

    start: datetime
    end: datetime
    lines: tuple[Line, ...]
    legend: tuple[UsageClass, ...]
    minutes: int
    height: int
    notice_x: int | None
    left_out: int


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
        lines=tuple(_line(row, number, runs[number], legend) for number, row in enumerate(shown)),
        legend=legend,
        minutes=minutes,
        height=LINE * len(shown),
        notice_x=notice if notice is not None and notice < minutes else None,
        left_out=len(rows) - len(shown),
    )


def _line(row: Any, number: int, runs: list[Run], legend: tuple[UsageClass, ...]) -> Line:
    seconds = tuple(60 * sum(run.width for run in runs if run.kind == kind) for kind in legend)
    return Line(row.device, LINE * number, tuple(runs), seconds)


def _runs(hours: dict[datetime, str], start: datetime) -> list[Run]:
    runs: list[Run] = []
    for hour in sorted(hours):
        x = int((hour - start).total_seconds() // 60)
        for letter, group in groupby(hours[hour].ljust(60)[:60]):
            width = len(list(group))
            if letter.strip():
                runs.append(Run(x, width, UsageClass.of_letter(letter)))
            x += width
    return _merged(runs)


def _merged(runs: list[Run]) -> list[Run]:
    """Runs that touch and are of one class are one."""
    found: list[Run] = []
    for run in runs:
        if found and found[-1].kind == run.kind and found[-1].x + found[-1].width == run.x:
            found[-1] = Run(found[-1].x, found[-1].width + run.width, run.kind)
        else:
            found.append(run)
    return found
