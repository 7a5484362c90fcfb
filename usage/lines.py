"""Sums of use as cells of a file: held and the seven in GPU-hours, in one order everywhere; evidence as its lines."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from allocations.selectors.usage import UsageSums
from allocations.usage_classes import UsageClass
from common.quantities import seconds_to_hours
from usage.selectors.picture import Picture


def heads(*, samples: bool = True) -> list[str]:
    """What stands above `cells`."""
    classes = [str(each.label) for each in UsageClass]
    return [_("Held, GPU-hours"), *classes, *([_("Samples")] if samples else []), _("Energy, kWh")]


def cells(sums: UsageSums, *, samples: bool = True) -> list[Any]:
    """Held, the seven, the number of samples where it is asked for, the energy."""
    parts = [seconds_to_hours(seconds) for _kind, seconds in sums.parts]
    counted = [sums.samples] if samples else []
    return [seconds_to_hours(sums.held_seconds), *parts, *counted, round(sums.energy_kwh, 3)]


def evidence_heads() -> list[str]:
    """What stands above `evidence_lines`."""
    return [_("Node / GPU"), _("From"), _("Until"), _("What it was"), _("Minutes")]


def evidence_lines(picture: Picture) -> Iterator[list[Any]]:
    """A case's evidence for a file: a line a stretch of each GPU; moments in ISO 8601, UTC."""
    for line, run in picture.stretches:
        yield [line.name, run.since.isoformat(), run.until.isoformat(), run.kind.label, run.width]
