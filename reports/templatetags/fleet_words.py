"""The fleet as pictures: a bar of its parts, and a map of its GPUs. Plain markup with classes, no script and no style.

The map is put together as text: a template for each of thousands of cells would take seconds.
"""

from html import escape as escaped
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from common.templatetags.bitgoeul import number
from reports.selectors.fleet_metrics import Metric
from reports.selectors.fleet_parts import PARTS
from reports.selectors.fleet_rows import Gpu
from reports.selectors.fleet_screen import Heat, Picture

register = template.Library()
WIDTH = 1000


@register.simple_tag
def capacity_bar(picture: Picture) -> SafeString:
    """The seven parts side by side; the legend with the numbers stands below it."""
    if not picture.total:
        return SafeString("")
    rects = []
    for share in picture.shares:
        begin = share.before * WIDTH // picture.total
        width = (share.before + share.gpus) * WIDTH // picture.total - begin
        if share.gpus:
            rects.append((share.part.value, begin, max(width, 2), share.part.label, number(share.gpus)))
    parts = format_html_join(
        "", '<rect class="part-{}" x="{}" y="0" width="{}" height="24"><title>{}: {}</title></rect>', rects
    )
    return format_html(
        '<svg class="capacity-bar" viewBox="0 0 {} 24" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        _("What each GPU is at this moment, in parts of all of them"),
        parts,
    )


@register.simple_tag
def part_key(part: Any) -> SafeString:
    """A square in the colour of a part."""
    return format_html(
        '<svg class="usage-key" viewBox="0 0 10 10" aria-hidden="true">'
        '<rect class="part-{}" width="10" height="10"/></svg>',
        part.value,
    )


@register.simple_tag
def heat_map(heat: Heat, metric: Metric, dense: bool) -> SafeString:
    """GPUs, coloured by a figure, in rows of nodes under their pools."""
    drawn = _Map(heat, metric)
    node = drawn.squares if dense else drawn.cells
    pieces = []
    for pool, nodes in heat.nodes.items():
        pieces.append(
            f'<h3 class="h4 mt-2 mb-1">{escape(pool)}</h3><div class="{"heat-dense" if dense else "fleet-grid"}">'
        )
        pieces.extend(node(gpus) for gpus in nodes)
        pieces.append("</div>")
    return mark_safe("".join(pieces))  # noqa: S308 (each word is escaped where it is put in)


class _Map:
    """What all cells of one map share: addresses and words, looked up once."""

    def __init__(self, heat: Heat, metric: Metric) -> None:
        self._past, self._metric = heat.when.past, metric
        self._node_url = reverse("reports:node", args=["node-x"]).split("node-x")
        self._device_url = reverse("reports:device", args=["dev-x"]).split("dev-x")
        self._unit = f" {metric.unit}" if metric.unit else ""
        self._held, self._ill = escape(_("reserved by somebody")), escape(_("ill"))
        self._words = [escape(part.label) for part in PARTS]
        self._names = {pk: escape(row.organisation) for pk, row in heat.holdings.items()}

    def squares(self, gpus: list[Gpu]) -> str:
        """A node as a link with a square for each GPU; the figures are in its name and at each square."""
        shown, names, unit = self._metric.shown, self._names, self._unit
        squares, said = [], []
        for gpu in gpus:
            level, text = shown(gpu)
            css = f"cell-{level}{' held' if gpu.lease_id else ''}{' sick' if gpu.ill else ''}"
            who = f" · {names[gpu.lease_id]}" if gpu.lease_id in names else ""
            squares.append(f'<i class="{css}" title="{escaped(gpu.name)}: {text}{unit}{who}"></i>')
            said.append(text)
        return (
            f'<a class="heat-node" id="at-{gpus[0].node_id}" href="{gpus[0].node_id.join(self._node_url)}"'
            f' aria-label="{escaped(gpus[0].node)}: {" ".join(said)}{unit}">{"".join(squares)}</a>'
        )

    def cells(self, gpus: list[Gpu]) -> str:
        """A node by its name with a cell for each GPU, its figure in it."""
        node = escaped(gpus[0].node)
        name = f'<a href="{gpus[0].node_id.join(self._node_url)}">{node}</a>'
        state = "" if gpus[0].node_state == "ready" or self._past else " ⚠"
        items = "".join(self._cell(gpu) for gpu in gpus)
        return (
            f'<div class="fleet-node"><div class="fleet-node-name">{name}{state}</div>'
            f'<ul class="fleet-cells" aria-label="{node}">{items}</ul></div>'
        )

    def _cell(self, gpu: Gpu) -> str:
        level, text = self._metric.shown(gpu)
        ill, held = gpu.ill, gpu.lease_id is not None
        css = f"fleet-cell cell-{level}{' cell-held' if held else ''}{' cell-ill' if ill else ''}"
        who = f" · {self._names[gpu.lease_id]}" if gpu.lease_id in self._names else ""
        marks = f' ●<span class="visually-hidden"> {self._held}</span>' if held else ""
        marks += f' !<span class="visually-hidden"> {self._ill}</span>' if ill else ""
        label = self._words[gpu.rank]
        profile = f" ({escape(gpu.profile)})" if gpu.profile else ""
        title = f"{escaped(gpu.name)}{profile}: {text}{self._unit} · {label}{who}"
        return (
            f'<li><a class="{css}" id="at-{gpu.public_id}"'
            f' href="{gpu.public_id.join(self._device_url)}" title="{title}">'
            f'<span class="fleet-cell-index"><span class="visually-hidden">GPU </span>{gpu.place}{marks}</span>'
            f'<span class="fleet-cell-figure">{text}</span></a></li>'
        )
