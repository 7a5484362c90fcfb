"""A pool of two nodes on a Monday in January, and what the tests of the board put on it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from allocations.models import Allocation, Lease
from cluster.models import MaintenanceWindow, Node, Pool
from reports.capacity import Figures, Step
from reports.selectors.board import board, scope_of
from tests.factories import AllocationFactory, Cast, LeaseFactory, PoolFactory, make_cast, make_node
from tests.factories.allocations import PlacementFactory

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass
class BoardStage:
    """Eight and four GPUs since long ago. `monday` is one at least a week away, `at` counts days from its midnight."""

    cast: Cast
    pool: Pool
    big: Node
    small: Node
    monday: date

    def at(self, days: float) -> datetime:
        """That many days after Monday's midnight in Seoul (which never changes its clocks)."""
        midnight = datetime.combine(self.monday, datetime.min.time(), tzinfo=UTC) - 9 * HOUR
        return midnight + days * DAY

    def promise(self, gpus: int, start: float, end: float, **fields: Any) -> Allocation:
        """An allocation of the cast's project from one day to another."""
        usual = {"project": self.cast.project, "pool": self.pool, "state": "pending"}
        window = {"valid_from": self.at(start), "valid_until": self.at(end)}
        row: Allocation = AllocationFactory(**usual | window | {"concurrent_gpus": gpus} | fields)
        return row

    def book(self, node: Node, gpus: int, start: float, end: float | None, **fields: Any) -> Lease:
        """A lease on the first GPUs of a node; without an end it is being taken back."""
        allocation = fields.pop("allocation", None) or self.promise(1, -400, -390)
        last = self.at(end if end is not None else start + 1)
        usual = {"allocation": allocation, "booked_by": self.cast.owner, "device_count": gpus}
        lease: Lease = LeaseFactory(**usual | {"starts_at": self.at(start), "ends_at": last} | fields)
        for device in node.devices.order_by("index")[:gpus]:
            window = DateTimeTZRange(lease.starts_at, None if end is None else lease.ends_at)
            PlacementFactory(lease=lease, device=device, window=window)
        return lease

    def close(self, node: Node, start: float, end: float, **fields: Any) -> MaintenanceWindow:
        """An announced window."""
        usual = {"node": node, "reason": "fans", "announced_by": "operator"}
        return MaintenanceWindow.objects.create(
            **usual | {"starts_at": self.at(start), "ends_at": self.at(end)} | fields
        )

    def figures(self, days: int = 3, step: Any = "day", steps: tuple[Step, ...] = (), **fields: Any) -> list[Figures]:
        """The pool's buckets from Monday on; with steps, as they would be."""
        usual: dict[str, Any] = {"pools": [self.pool], "first": self.monday, "until": self.monday + days * DAY}
        scope = scope_of(**usual | {"step": step} | fields)
        (group,) = board(scope, timezone.now(), steps)
        return [bucket.shown for bucket in group.buckets]


def make_board_stage() -> BoardStage:
    """The stage, ready."""
    cast, pool = make_cast(), PoolFactory(name="h100-a")
    big, small = make_node(pool, 8, name="gpu-big"), make_node(pool, 4, name="gpu-small")
    today = timezone.localdate()
    return BoardStage(cast, pool, big, small, today + timedelta(days=14 - today.weekday()))
