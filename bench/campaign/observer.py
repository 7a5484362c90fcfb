"""Looks at the truth a few times a second, past the portal: agents' journals, driver, and tenants' processes.

Access is: the journal lets the lease in, or a process of the lease lives. Both count, whichever lasts longer.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field

from bench.campaign.machines import NodeUnderTest
from simulator.state import process_start_ticks

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class TenantProcess:
    """A process that a tenant started under a lease; `started` tells it from a later one of its PID."""

    pid: int
    started: int
    lease: str
    node: str

    @property
    def lives(self) -> bool:
        """Whether it is still there; a zombie is not."""
        return process_start_ticks(self.pid) == self.started


@dataclass
class Access:
    """What was seen of one lease on one node. Epoch seconds."""

    hard_end: float
    devices: tuple[str, ...]
    last_seen: float = 0.0

    @property
    def past_end(self) -> float:
        """Seconds of access past the hard end, to the resolution of a look."""
        return max(0.0, self.last_seen - self.hard_end)


@dataclass
class Seen:
    """Everything that the observer counted."""

    access: dict[tuple[str, str], Access] = field(default_factory=dict)
    overlaps: dict[tuple[str, str, str], float] = field(default_factory=dict)
    looks: int = 0
    slowest_look: float = 0.0


class Observer:
    """`with Observer(nodes) as observer:` a thread that looks until the end; `seen` holds the counts."""

    def __init__(self, nodes: Iterable[NodeUnderTest]) -> None:
        self._nodes = list(nodes)
        self.seen = Seen()
        self._owners: dict[tuple[str, int], TenantProcess] = {}
        self._living: list[TenantProcess] = []
        self._new: list[TenantProcess] = []
        self.let_in: dict[tuple[str, str], Access] = {}
        """Who is let in right now, by (lease, node)."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Observer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.look()
            self.seen.looks += 1
            self.seen.slowest_look = max(self.seen.slowest_look, time.monotonic() - began)
            self._stop.wait(max(0.01, LOOK_SECONDS - (time.monotonic() - began)))

    def add(self, process: TenantProcess) -> None:
        """Watch a process of a tenant from the next look on."""
        self._new.append(process)

    def look(self) -> None:
        """One look at every node."""
        while self._new:
            process = self._new.pop(0)
            self._living.append(process)
            self._owners[process.node, process.pid] = process
        self._living = [process for process in self._living if process.lives]
        let_in: dict[tuple[str, str], Access] = {}
        for node in self._nodes:
            holders: dict[str, set[str]] = {}
            now = time.time()
            for lease, devices, hard_end in _granted(node):
                access = self.seen.access.setdefault((lease, node.name), Access(hard_end, devices))
                access.hard_end, access.last_seen = hard_end, now
                let_in[lease, node.name] = access
                for uuid in devices:
                    holders.setdefault(uuid, set()).add(lease)
            self._add_processes(node, holders, now)
            for uuid, leases in holders.items():
                for other in sorted(leases)[1:]:
                    self.seen.overlaps.setdefault((uuid, min(leases), other), now)
        self.let_in = let_in

    def _add_processes(self, node: NodeUnderTest, holders: dict[str, set[str]], now: float) -> None:
        """Living processes are access, and whoever the driver shows on a device holds it, dead or alive."""
        for process in self._living:
            if process.node == node.name:
                self.seen.access[process.lease, node.name].last_seen = now
        for bound in node.sim.processes():
            owner = self._owners.get((node.name, bound.pid))
            if owner is not None:
                holders.setdefault(node.sim.uuids[bound.gpu], set()).add(owner.lease)


def _granted(node: NodeUnderTest) -> list[tuple[str, tuple[str, ...], float]]:
    """(lease, device UUIDs, hard end) of those whom the agent lets in."""
    try:
        rows = [lease for lease in node.journal.open_leases() if lease.phase == "granted"]
    except sqlite3.Error:
        return []
    return [(row.lease, row.device_uuids, row.hard_end or 0.0) for row in rows]


def counter(node: NodeUnderTest, name: str) -> int:
    """A number that the agent keeps, 0 where it has none."""
    with closing(node.journal.connect()) as connection:
        row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return int(row["value"]) if row else 0
