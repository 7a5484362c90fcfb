"""The table behind the heat map: its columns, and the same as lines of a CSV file."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from common.tables import Column
from common.templatetags.bitgoeul import moment, number, state_label
from reports.selectors.fleet_list import Line
from reports.selectors.fleet_parts import PARTS
from reports.selectors.fleet_rows import Gpu, Holding
from reports.selectors.fleet_screen import Picture


def columns(picture: Picture | None = None) -> tuple[Column, ...]:
    """Of a page's table. `lines` says the same for a file, which needs their names alone."""

    def holding(gpu: Gpu) -> Holding | None:
        return picture.holding(gpu) if picture else None

    return (
        Column("gpu", _("GPU"), lambda gpu: gpu.name, link=device_url, sort="gpu"),
        Column("pool", _("Pool"), lambda gpu: gpu.pool, sort="pool"),
        Column("part", _("Counts as"), lambda gpu: str(gpu.part.label), sort="part"),
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
        Column(
            "until",
            _("Until"),
            lambda gpu: str(moment(row.ends_at)) if (row := holding(gpu)) else "",
            sort="until",
        ),
    )


def lines(rows: Iterable[Line]) -> Iterator[list[Any]]:
    """What the columns say of each."""
    words, until = [str(part.label) for part in PARTS], cache(lambda at: str(moment(at)) if at else "")
    for row in rows:
        node, position, first, pool, rank, health, *figures, holder, ends_at = row
        place = position if first is None else f"{position}:{first}"
        rounded = [round(figure, 1) if isinstance(figure, float) else figure for figure in figures]
        yield [f"{node}/{place}", pool, words[rank], health, *rounded, holder or "", until(ends_at)]


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
