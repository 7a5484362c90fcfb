"""Which of the idle GPUs of a reservation can be given back so that the others still lie as it asks. Pure."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from allocations import refits
from allocations.models import Placement
from allocations.shapes import Shape


def fitting_part(rows: Sequence[Placement], idle: Collection[int], shape: Shape) -> list[Placement]:
    """All idle ones; else the nodes that are wholly idle; else as many of each node; [] where none of these does.

    `rows` are what the reservation has, `idle` the ids of devices. Never all of `rows` unless all are idle.
    """
    found = [row for row in rows if row.device_id in idle]
    kept = [row.device for row in rows if row.device_id not in idle]
    if not found or not kept or refits.nodes_left(kept, shape) is not None:
        return found
    by_node: dict[int, list[Placement]] = defaultdict(list)
    for row in rows:
        by_node[row.node_id].append(row)
    groups = list(by_node.values())
    whole = [row for group in groups if all(each.device_id in idle for each in group) for row in group]
    if whole:
        return whole
    each = min(sum(row.device_id in idle for row in group) for group in groups)
    return [row for group in groups for row in [one for one in group if one.device_id in idle][:each]]
