"""A programme whose leases hold whole nodes, one after the other, over a long past; the last of each node runs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from allocations.models import Allocation, Lease, LedgerEntry
from cluster.models import Device, Node
from portal.seeding.scale import GPUS_PER_NODE, HOUR, Programme

LEFT_DAYS = 3
PLACEMENTS = """
INSERT INTO allocations_placement (lease_id, device_id, board_id, slices, "window", released, node_id, organisation_id,
    shared)
SELECT l.id, d.id, d.id, int4range(0, %s), tstzrange(l.starts_at, l.ends_at), l.state = 'ended', d.node_id,
       j.organisation_id, %s
FROM unnest(%s::bigint[], %s::bigint[]) AS held (lease_id, node_id)
JOIN allocations_lease l ON l.id = held.lease_id
JOIN cluster_device d ON d.node_id = held.node_id
JOIN allocations_allocation a ON a.id = l.allocation_id
JOIN projects_project j ON j.id = a.project_id
"""


class LongLeases(Programme):
    """An allocation a node: its leases of `lease_days` each follow each other through `days` up to now."""

    def __init__(self, *args: Any, days: int, lease_days: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.days, self.lease_days = days, lease_days

    def _allocations(self) -> None:
        super()._allocations()
        award = (self.days + LEFT_DAYS) * 24 * HOUR * GPUS_PER_NODE * 2
        keys = [each.pk for each in self.allocations]
        Allocation.objects.filter(pk__in=keys).update(
            awarded_gpu_seconds=award,
            concurrent_gpus=GPUS_PER_NODE,
            valid_from=self.now - timedelta(days=self.days + 1),
        )
        LedgerEntry.objects.bulk_create(
            (self._entry(each, None, "adjustment", award - each.awarded_gpu_seconds) for each in self.allocations),
            batch_size=5_000,
        )

    def _turns(self) -> Iterator[tuple[datetime, datetime]]:
        start = self.now - timedelta(days=self.days)
        while start < self.now:
            end = start + timedelta(days=self.lease_days)
            yield start, end if end < self.now else self.now + timedelta(days=LEFT_DAYS)
            start = end

    def _leases(self) -> int:
        devices: dict[int, list[Device]] = {}
        for device in self.devices:
            devices.setdefault(device.node_id, []).append(device)
        leases, nodes = [], []
        for place, node in enumerate(self.nodes):
            for start, end in self._turns():
                leases.append(self._lease(place, node, devices[node.pk], start, end))
                nodes.append(node.pk)
        Lease.objects.bulk_create(leases, batch_size=5_000)
        slices, keys = self.pool.gpu_class.memory_slices, [lease.pk for lease in leases]
        with connection.cursor() as cursor:
            cursor.execute(PLACEMENTS, [slices, self.pool.shared_nodes, keys, nodes])
        self._holds(leases)
        Device.objects.filter(pk__in=[each.pk for each in self.devices]).update(state="in_use")
        return len(leases)

    def _lease(self, place: int, node: Node, held: list[Device], start: datetime, end: datetime) -> Lease:
        past = end <= self.now
        return Lease(
            allocation=self.allocations[place],
            booked_by=self.users[place],
            device_count=len(held),
            starts_at=start,
            ends_at=end,
            state="ended" if past else "active",
            active_at=start,
            drained_at=end if past else None,
            access_gone_at=end if past else None,
            ended_at=end + timedelta(minutes=1) if past else None,
            end_reason="expired" if past else "",
            used_seconds=0 if past else None,
        )

    def _holds(self, leases: list[Lease]) -> None:
        entries = []
        for lease in leases:
            seconds = int((lease.ends_at - lease.starts_at).total_seconds()) * lease.device_count
            entries.append(self._entry(lease.allocation, lease, "hold", -seconds))
            if lease.state == "ended":
                entries.append(self._entry(lease.allocation, lease, "return", seconds))
                entries.append(self._entry(lease.allocation, lease, "settle", -seconds))
        LedgerEntry.objects.bulk_create(entries, batch_size=5_000)
