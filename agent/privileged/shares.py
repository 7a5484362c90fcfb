"""A lease's part of the machine: the CPUs and the memory that lie by its devices.

Every device owns a slice of the cores of its NUMA node, counted out by minor number, so that two leases never share a
core and nobody has to remember who has which.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NO_NODE = -1  # a device, or a machine, that names no NUMA node
MEMORY_FOR_TENANTS = 0.9  # the rest is the machine's own
TASKS_FOR_A_DEVICE = 4096


@dataclass(frozen=True)
class Limits:
    """What a lease may use. No CPUs or memory nodes named: all of them."""

    cpus: tuple[int, ...]
    memory_nodes: tuple[int, ...]
    memory_bytes: int
    tasks: int


def limits(
    system: Path,
    minors: tuple[int, ...],
    node_devices: tuple[tuple[int, int], ...],
    extents: Mapping[int, Sequence[tuple[int, int, int]]] | None = None,
) -> Limits:
    """The limits of a lease on `minors`; `node_devices` are (minor, NUMA node) of every device of the machine.

    `extents`: of a device that is leased in MIG instances, (first memory slice, how many, of how many) of each: it gets
    the same part of the device's cores and memory.
    """
    place = dict(node_devices)
    parts = {minor: (extents or {}).get(minor) or [(0, 1, 1)] for minor in minors}
    fraction = {minor: sum(size / whole for _, size, whole in parts[minor]) for minor in minors}
    cpus: set[int] = set()
    share = 0.0
    for numa in sorted({place[minor] for minor in minors}):
        here = sorted(minor for minor, where in node_devices if where == numa)
        mine = [minor for minor in minors if place[minor] == numa]
        cores = _cores(system, numa)
        for minor in mine:
            position = here.index(minor)
            its = cores[position * len(cores) // len(here) : (position + 1) * len(cores) // len(here)]
            for start, size, whole in parts[minor]:
                part = its[start * len(its) // whole : (start + size) * len(its) // whole]
                # Fewer cores than devices or instances: better a shared core than none.
                cpus.update(cpu for core in part or its or cores for cpu in core)
        share += _memory_bytes(system, numa) * sum(fraction[minor] for minor in mine) / len(here)
    nodes = tuple(sorted({place[minor] for minor in minors} - {NO_NODE}))
    tasks = int(TASKS_FOR_A_DEVICE * sum(fraction.values())) or TASKS_FOR_A_DEVICE
    known = nodes if len(nodes) == len({place[minor] for minor in minors}) else ()
    return Limits(tuple(sorted(cpus)), known, int(share * MEMORY_FOR_TENANTS), tasks)


def _cores(system: Path, numa: int) -> list[tuple[int, ...]]:
    """The cores of a NUMA node (of the machine, with NO_NODE) as tuples of their threads."""
    folder = system / "devices/system"
    path = folder / "cpu/online" if numa == NO_NODE else folder / f"node/node{numa}/cpulist"
    cores = {_siblings(folder / f"cpu/cpu{cpu}/topology/thread_siblings_list", cpu) for cpu in cpu_list(path)}
    return sorted(cores)


def _siblings(path: Path, cpu: int) -> tuple[int, ...]:
    return tuple(sorted(cpu_list(path))) or (cpu,)


def cpu_list(path: Path) -> list[int]:
    """`0-3,8` as numbers; empty where the file is not there."""
    try:
        words = path.read_text().strip().split(",")
    except OSError:
        return []
    found: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1) if first else []
    return found


def _memory_bytes(system: Path, numa: int) -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if numa == NO_NODE:
        return whole
    try:
        lines = (system / f"devices/system/node/node{numa}/meminfo").read_text().splitlines()
    except OSError:
        return whole
    totals = [int(line.split()[3]) * 1024 for line in lines if "MemTotal:" in line]
    return totals[0] if totals else whole
