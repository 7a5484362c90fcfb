"""The table behind the heat map: columns, and the order that was asked for."""

from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.tables import Column
from common.templatetags.bitgoeul import moment, number, state_label
from reports.selectors.fleet_parts import Part
from reports.selectors.fleet_rows import Gpu
from reports.selectors.fleet_screen import Picture


def columns(picture: Picture) -> tuple[Column, ...]:
    """Of a page's table and of its CSV."""
    holding, words = picture.holding, {part: str(part.label) for part in Part}

    @cache
    def until(lease_id: int | None) -> str:
        row = picture.holdings.get(lease_id or 0)
        return str(moment(row.ends_at)) if row else ""

    return (
        Column("gpu", _("GPU"), lambda gpu: gpu.name, link=device_url, sort="gpu"),
        Column("pool", _("Pool"), lambda gpu: gpu.pool, sort="pool"),
        Column("part", _("Counts as"), lambda gpu: words[picture.parts[gpu.pk]], sort="part"),
        Column(
            "health",
            _("Health"),
            lambda gpu: gpu.health,
            cell=lambda gpu: state_label(gpu.health, "health"),
            sort="health",
        ),
        _figure("utilisation", _("Utilisation, %"), lambda gpu: gpu.utilisation_percent),
        _figure("sm", _("SM active, %"), lambda gpu: gpu.sm_active_percent),
        _figure("tensor", _("Tensor active, %"), lambda gpu: gpu.tensor_active_percent),
        _figure("memory", _("Memory, MiB"), lambda gpu: gpu.memory_used_mib),
        _figure("power", _("Power, W"), lambda gpu: gpu.power_watts),
        _figure("temperature", _("Temperature, °C"), lambda gpu: gpu.temperature_c),
        Column(
            "holder",
            _("Held by"),
            lambda gpu: row.organisation if (row := holding(gpu)) else "",
            link=lambda gpu: lease_url(row.public_id) if (row := holding(gpu)) else None,
            sort="holder",
        ),
        Column("until", _("Until"), lambda gpu: until(gpu.lease_id), sort="until"),
    )


def ordered(picture: Picture, wanted: str, part: str) -> list[Gpu]:
    """The GPUs in the order of a column (`-key`: the largest first), gaps last; only those that count as `part`."""
    rows = [gpu for gpu in picture.gpus if not part or picture.parts[gpu.pk] == part]
    key = next((each for each in columns(picture) if each.key == wanted.removeprefix("-")), None)
    if key is None or key.key == "gpu":
        return rows[::-1] if wanted == "-gpu" else rows
    known = [(value if isinstance(value := key.value(gpu), int | float) else str(value or ""), gpu) for gpu in rows]
    there = sorted((pair for pair in known if pair[0] != ""), key=itemgetter(0), reverse=wanted.startswith("-"))
    return [gpu for _value, gpu in there] + [gpu for value, gpu in known if value == ""]


def device_url(gpu: Gpu) -> str:
    """Its page."""
    return reverse("reports:device", args=[gpu.public_id])


def lease_url(public_id: str) -> str:
    """The page of a reservation."""
    return reverse("allocations:lease", args=[public_id])


def _figure(key: str, label: Any, value: Callable[[Gpu], float | None]) -> Column:
    def rounded(gpu: Gpu) -> Any:
        found = value(gpu)
        return None if found is None else round(found, 1)

    return Column(key, label, rounded, cell=lambda gpu: number(value(gpu)), sort=key, numeric=True)
