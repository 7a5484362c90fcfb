"""What befalls the machines: processes killed or frozen, lines cut, devices struck; all of it is taken back in time."""

import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.campaign.machines import Machines, NodeUnderTest
from simulator.recovery import ResetRefused

XIDS = (13, 31, 43, 48, 63, 64, 74, 79, 94, 95, 119, 154)
CONDITIONS = (
    *("gpu_lost", "ecc_dbe", "ecc_sbe_storm", "remap_pending", "remap_failed", "thermal", "power_brake", "pcie_width"),
    *("nvlink_down", "nvlink_errors", "recovery_action", "zombie_mem", "stuck_process"),
)
CALLS = ("nvml_hang", "nvml_slow", "nvml_error", "missing_symbol", "lib_rm_mismatch")
KILLED = (
    "web",
    "worker",
    "beat",
    "postgres",
    "valkey",
    "agent",
    "agent",
    "keeper",
    "keeper",
    "sampler",
    "agent worker",
)
FROZEN = ("sampler", "agent worker")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "recovery_action": {"code": 1},
    "zombie_mem": {"memory_mib": 4_000},
    "nvml_hang": {"seconds": 20.0},
    "nvml_slow": {"seconds": 0.3, "call": "nvmlDeviceGetMemoryInfo*"},
    "nvml_error": {"code": 999, "count": 20},
    "missing_symbol": {"call": "nvmlDeviceGetFieldValues"},
}
LASTS = (6.0, 25.0)
SILENT = (20.0, 60.0)
"""Seconds: how long a fault stays, and how long a node is cut off."""


@dataclass
class Struck:
    """Something that will be taken back at `until` (the loop's clock), by calling `mend`."""

    until: float
    mend: Callable[[], None]


@dataclass
class Chaos:
    """`strike` does the next thing of a shuffled deck: each comes in turn. `mend` takes back what is due."""

    machines: Machines
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    _deck: list[tuple[str, str]] = field(default_factory=list)
    _struck: list[Struck] = field(default_factory=list)

    def strike(self, now: float) -> None:
        """One more thing goes wrong."""
        if not self._deck:
            self._deck = [
                *(("xid", str(number)) for number in XIDS),
                *(("fault", kind) for kind in (*CONDITIONS, *CALLS)),
                *(("kill", name) for name in KILLED * 2),
                *(("freeze", name) for name in FROZEN),
                *(("silent", "node"),) * 2,
            ]
            self.chance.shuffle(self._deck)
        act, what = self._deck.pop()
        node = self.chance.choice(list(self.machines.nodes.values()))
        getattr(self, f"_{act}")(node, what, now)
        self.done[f"{act} {what}"] += 1

    def mend(self, now: float) -> None:
        """Take back what has lasted long enough."""
        for struck in [each for each in self._struck if each.until <= now]:
            struck.mend()
            self._struck.remove(struck)

    def calm(self) -> None:
        """Everything taken back; nothing is struck any more."""
        self.mend(float("inf"))
        for node in self.machines.nodes.values():
            node.sim.clear()

    def _later(self, now: float, span: tuple[float, float], mend: Callable[[], None]) -> None:
        self._struck.append(Struck(now + self.chance.uniform(*span), mend))

    def _xid(self, node: NodeUnderTest, number: str, now: float) -> None:
        gpu = self.chance.randrange(node.sim.device_count)
        node.sim.inject("xid", gpu=gpu, code=int(number))
        self._later(now, LASTS, lambda: repair(node, gpu))

    def _fault(self, node: NodeUnderTest, kind: str, now: float) -> None:
        gpu = None if kind in ("missing_symbol", "lib_rm_mismatch") else self.chance.randrange(node.sim.device_count)
        node.sim.inject(kind, gpu=gpu, **ARGUMENTS.get(kind, {}))
        self._later(now, LASTS, lambda: repair(node, gpu, kind))

    def _kill(self, node: NodeUnderTest, name: str, now: float) -> None:
        if name == "agent":
            self.machines.kill(f"{node.name} agent")
        elif name in ("keeper", "sampler", "agent worker"):
            self._signal(node, name, signal.SIGKILL)
        else:
            self.machines.kill(name)

    def _freeze(self, node: NodeUnderTest, name: str, now: float) -> None:
        self._signal(node, name, signal.SIGSTOP)
        self._later(now, LASTS, lambda: self._signal(node, name, signal.SIGCONT))

    def _silent(self, node: NodeUnderTest, _: str, now: float) -> None:
        node.wire.cut()
        self._later(now, SILENT, node.wire.mend)

    @staticmethod
    def _signal(node: NodeUnderTest, name: str, number: int) -> None:
        part = node.part(name.removeprefix("agent "))
        with suppress(psutil.Error):
            for process in [part, *part.children(recursive=True)] if part else []:
                process.send_signal(number)


def repair(node: NodeUnderTest, gpu: int | None, kind: str | None = None) -> None:
    """What a person does about a device: the fault is gone, and a device that nobody uses is reset."""
    node.sim.clear(kind, gpu) if gpu is None else node.sim.clear(gpu=gpu)
    with suppress(ResetRefused):
        if gpu is not None:
            node.sim.reset(gpu)
