"""The port of every engine: plain dataclasses in and out, no ORM, every verb idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

StepState = Literal["none", "waiting", "done", "failed"]


@dataclass(frozen=True)
class LeaseOrder:
    """What an engine is asked to do for one lease.

    `devices` maps node names to device UUIDs; (lease_ref, generation) is the fencing token of every verb.
    `leaving`: what the lease gives up on these nodes; of `reshape` alone.
    """

    lease_ref: str
    generation: int
    devices: dict[str, tuple[str, ...]]
    login: str
    starts_at: datetime
    hard_end: datetime
    leaving: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceReport:
    """What a node measured of one device; `checks` are {code, passed, observed, expected}."""

    uuid: str
    passed: bool
    checks: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Step:
    """How far one verb has come over all nodes of an order.

    "done" when every node is done, "failed" as soon as one failed or its deadline passed, "waiting" in between.
    `left_at`: of `reshape`, when the access to each device (by UUID) that was given up was gone.
    """

    verb: str
    state: StepState
    failures: tuple[str, ...] = ()
    reports: tuple[DeviceReport, ...] = ()
    finished_at: datetime | None = None
    left_at: Mapping[str, datetime] = field(default_factory=dict)


class EngineDriver(Protocol):
    """The verbs of an engine; each may be called again for the same order without doing anything twice."""

    def inventory(self) -> dict[str, tuple[str, ...]]:
        """Node names to the UUIDs of the devices that they have."""

    def verify(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes check the devices: present, healthy, empty."""

    def grant(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes give access until the hard end."""

    def extend(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes move the hard end; it counts once they have acknowledged it."""

    def revoke(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes end access and every process of the lease."""

    def reclaim(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes clean up and prove the devices empty."""

    def reshape(self, order: LeaseOrder, *, deadline_at: datetime) -> None:
        """Have the nodes, which gave access before, give it to exactly `order.devices`, and give `order.leaving` back.

        What runs on the devices that stay goes on. Done is done: whether what left is clean, its reports say.
        """

    def observe(self, order: LeaseOrder) -> dict[str, Step]:
        """Each verb's step for this order's generation."""
