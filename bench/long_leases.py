"""A programme whose leases hold whole nodes, one after the other, over a long past; the last of each node runs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

from allocations.models import Allocation, Lease, LedgerEntry, Placement
from cluster.models import Device, Node
from portal.seeding.scale import GPUS_PER_NODE, HOUR, Programme

LEFT_DAYS = 3


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
        leases, holding = [], []
        for place, node in enumerate(self.nodes):
            for start, end in self._turns():
                leases.append(self._lease(place, node, devices[node.pk], start, end))
                holding.append(devices[node.pk])
        Lease.objects.bulk_create(leases, batch_size=5_000)
        whole = NumericRange(0, self.pool.gpu_class.memory_slices)
        rows = (
            Placement(
                lease=lease,
                device=device,
                board=device,
                slices=whole,
                window=DateTimeTZRange(lease.starts_at, lease.ends_at),
                released=lease.state == "ended",
                node_id=device.node_id,
                organisation_id=lease.allocation.project.organisation_id,
                shared=self.pool.shared_nodes,
            )
            for lease, held in zip(leases, holding, strict=True)
            for device in held
        )
        Placement.objects.bulk_create(rows, batch_size=5_000)
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
