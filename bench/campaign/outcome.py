"""What came of a campaign, counted from the database, the journals and the observer."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from bench.campaign.machines import Machines
from bench.campaign.observer import Seen, counter
from bench.results_writer import percentile

OVERLAPPING = """
SELECT count(*) FROM allocations_placement a JOIN allocations_placement b
ON a.device_id = b.device_id AND a.id < b.id AND a."window" && b."window" AND a.slices && b.slices
AND lower(a."window" * b."window") + interval '1 millisecond' < upper(a."window" * b."window")
"""
"""Released rows too: their window ends where the device was given back. A lease that was cancelled before its start
keeps one microsecond of its window, because a range must not be empty: that is no promise."""


@dataclass(frozen=True)
class Samples:
    """Batches over all nodes: numbered by the agents, stored by the portal, given up and told, still on disk."""

    numbered: int
    stored: int
    dropped: int
    waiting: int

    @property
    def lost(self) -> int:
        """Batches that nobody can account for."""
        return self.numbered - self.stored - self.dropped - self.waiting


def overlapping_promises() -> int:
    """Pairs of placements of one device whose windows overlap."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(OVERLAPPING)
        return int(cursor.fetchone()[0])


def samples_of(machines: Machines) -> Samples:
    """Call it when the agents are still: a batch under way would count as waiting or not at all."""
    from telemetry.selectors import deliveries_taken

    nodes = machines.nodes.values()
    folders = [node.journal.folder.parent for node in nodes]
    return Samples(
        numbered=sum(counter(node, "sample_sequence") for node in nodes),
        stored=deliveries_taken(),
        dropped=sum(counter(node, "samples_dropped") for node in nodes),
        waiting=sum(len(list(folder.rglob("*.json.gz"))) for folder in folders),
    )


def unfinished(keys: list[int]) -> list[str]:
    """Leases that are not over, each as `<id> <state>: <reason>`."""
    from allocations.lifecycle import LEASE_OVER
    from allocations.models import Lease

    rows = Lease.objects.filter(pk__in=keys).exclude(state__in=LEASE_OVER)
    return [f"{row.public_id} {row.state}: {row.state_reason}" for row in rows]


def unsettled(machines: Machines) -> list[str]:
    """What is not yet as in quiet times: leases, devices, nodes, and leases that a node still holds open."""
    from cluster.models import Device, Node

    devices = Device.objects.exclude(state="available").select_related("node")
    found = [f"{device} {device.state}: {_last_failure(device)}" for device in devices]
    found += [f"{node} {node.state}" for node in Node.objects.exclude(state="ready")]
    for node in machines.nodes.values():
        found += [f"{node.name} holds {lease.lease} {lease.phase}" for lease in node.journal.open_leases()]
    return found


def _last_failure(device: Any) -> str:
    """Which checks the device failed last, between reservations."""
    last = device.inspections.first()
    failing = [f"{check['code']} {check['observed']}" for check in last.checks if not check["passed"]] if last else []
    return f"{device.state_reason}; {', '.join(failing) or 'no failed check'} {last.at if last else ''}"


def lifecycles(keys: list[int]) -> dict[str, int]:
    """How many leases ended how."""
    from allocations.models import Lease

    return dict(
        Counter(str(reason) for reason in Lease.objects.filter(pk__in=keys).values_list("end_reason", flat=True))
    )


def past_end(seen: Seen) -> dict[str, float]:
    """Percentiles of the seconds of access past the hard end, over every lease and node that had access."""
    values = [access.past_end for access in seen.access.values()] or [0.0]
    return {name: round(percentile(values, share), 2) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def rows(found: dict[str, Any]) -> str:
    """The table that a person reads."""
    width = max(len(name) for name in found)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
