"""The brain: a node's devices, the jobs bound to them and the faults put into them, advanced by a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import accounting, board, faults, kernel_log, layout, profiles, recovery, workloads
from simulator.board import MIB
from simulator.state import StateError, StateFile, empty_state, process_start_ticks, writing

LONGEST_STEP_SECONDS = 30.0  # load changes within a step of the clock are not seen beyond this


class OutOfMemory(RuntimeError):
    """A job asked for more memory than its device has free."""


class DeviceBusy(RuntimeError):
    """The device's compute mode admits no further process."""


@dataclass(frozen=True)
class BoundProcess:
    """A live process on a device, as `status` shows it."""

    gpu: int
    pid: int
    memory_mib: int
    workload: str


class SimNode:
    """One simulated server over one state file. Several processes may hold the same one.

    `tick(now)` advances to `now` (seconds since 1970); tests pass a clock of their own, `serve` passes the wall clock.
    """

    def __init__(self, state: StateFile) -> None:
        self.state = state
        self.profile = profiles.load(state.view.header.profile.decode())

    @classmethod
    def create(
        cls,
        path: Path | str,
        profile: str,
        *,
        name: str = "gpu-01",
        seed: int = 1,
        count: int | None = None,
        now: float | None = None,
    ) -> SimNode:
        """A new node in a new state file. `count` gives it fewer devices than the profile has.

        KeyError for an unknown profile, ValueError for an impossible count.
        """
        kind = profiles.load(profile)
        devices = kind.devices if count is None else count
        if not 1 <= devices <= layout.MAX_DEVICES:
            raise ValueError(f"a node has 1 to {layout.MAX_DEVICES} devices, not {devices}")
        state = empty_state()
        header = state.header
        header.device_count, header.seed = devices, seed
        header.created_ns = header.clock_ns = header.boot_ns = int((time.time() if now is None else now) * 1e9)
        header.driver_version, header.nvml_version = kind.driver_version.encode(), f"13.{kind.driver_version}".encode()
        header.cuda_version, header.node_name, header.profile = kind.cuda_version, name.encode()[:63], profile.encode()
        for index in range(devices):
            board.describe(state.devices[index], kind, name, index)
        board.describe_mig(state, kind)
        StateFile.create(Path(path), state)
        node = cls.open(path)
        node.refresh()
        return node

    @classmethod
    def open(cls, path: Path | str) -> SimNode:
        """The node in an existing state file; StateError where there is none."""
        return cls(StateFile(Path(path)))

    def close(self) -> None:
        """Unmap the file."""
        self.state.close()

    @property
    def device_count(self) -> int:
        """How many devices the node has."""
        return int(self.state.view.header.device_count)

    @property
    def uuids(self) -> list[str]:
        """The devices' UUIDs by index."""
        return [self.state.view.devices[index].uuid.decode() for index in range(self.device_count)]

    def tick(self, now: float | None = None) -> None:
        """Advance to `now`, in steps small enough that loads that change in between are counted."""
        with self.state.locked() as view:
            target = int((time.time() if now is None else now) * 1e9)
            while view.header.clock_ns < target:
                step = min(target - view.header.clock_ns, int(LONGEST_STEP_SECONDS * 1e9))
                view.header.clock_ns += step
                self._advance(view, step / 1e9)
            view.header.tick_count += 1

    def resume(self, now: float | None = None) -> None:
        """Go on after a time in which nobody ticked: the clock moves, energy and counters do not jump."""
        with self.state.locked() as view:
            view.header.clock_ns = max(view.header.clock_ns, int((time.time() if now is None else now) * 1e9))
            self._advance(view, 0.0)

    def refresh(self) -> None:
        """Make the values follow a changed process list or fault at once, without moving the clock."""
        with self.state.locked() as view:
            self._advance(view, 0.0)

    def bind(
        self, pid: int, gpus: list[int], memory_mib: int, workload: str = "pretrain", mig: tuple[int, int] | None = None
    ) -> None:
        """Put a live process on devices, with so much memory on each.

        mig: ids of the GPU and the compute instance, needed where MIG is on.

        ValueError for a device or workload that is not there, OutOfMemory, DeviceBusy, ProcessLookupError.
        """
        if workload not in workloads.WORKLOADS:
            raise ValueError(f"no workload {workload!r}; there are: {', '.join(workloads.WORKLOADS)}")
        if memory_mib < 0 or not gpus or len(set(gpus)) != len(gpus):
            raise ValueError("name each device once, and a memory of 0 MiB or more")
        start_ticks = process_start_ticks(pid)
        if start_ticks is None:
            raise ProcessLookupError(f"no process {pid}")
        with self.state.locked() as view:
            self._purge(view)
            for gpu in gpus:
                self._admit(view, gpu, memory_mib, mig)
            free = [slot for slot in view.processes if not slot.in_use]
            if len(free) < len(gpus):
                raise OutOfMemory(f"the node's process table is full ({layout.MAX_PROCESSES})")
            for gpu, slot in zip(gpus, free, strict=False):
                view.header.process_serial += 1
                slot.device, slot.pid, slot.start_ticks = gpu, pid, start_ticks
                slot.workload, slot.memory_bytes = workloads.WORKLOADS.index(workload), memory_mib * MIB
                slot.gpu_instance, slot.compute_instance = mig or (layout.NO_INSTANCE, layout.NO_INSTANCE)
                slot.registered_ns = view.header.clock_ns
                slot.seed = workloads.mix(view.header.seed, gpu, view.header.process_serial)
                slot.sm_util = slot.mem_util = slot.util_us = slot.stuck = 0
                slot.in_use = 1
            self._advance(view, 0.0)

    def unbind(self, pid: int) -> None:
        """Take a process off every device; harmless where it is on none."""
        with self.state.locked() as view:
            for slot in view.processes:
                if slot.in_use and slot.pid == pid and not slot.stuck:
                    slot.in_use = 0
            self._advance(view, 0.0)

    def inject(self, kind: str, **arguments: Any) -> None:
        """Put a fault into the node: see `faults.inject` for kinds and arguments."""
        with self.state.locked() as view:
            since = view.header.event_count
            faults.inject(view, kind, **arguments)
            self._advance(view, 0.0, since)

    def clear(self, kind: str | None = None, gpu: int | None = None) -> int:
        """Take faults out again, all or those of a kind or device; returns how many there were."""
        with self.state.locked() as view:
            cleared = faults.clear(view, kind, gpu)
            self._advance(view, 0.0)
        return cleared

    def reset(self, gpu: int) -> None:
        """Reset a device as `nvidia-smi --gpu-reset` does: see `recovery.reset` for what refuses it."""
        with self.state.locked() as view:
            self._purge(view)
            recovery.reset(view, gpu)
            self._advance(view, 0.0)

    def reboot(self) -> list[int]:
        """Start the node afresh: see `recovery.reboot`. Returns the PIDs that were on its devices."""
        with self.state.locked() as view:
            self._purge(view)
            pids = recovery.reboot(view)
            kernel_log.forget(self.state.path, view)
            self._advance(view, 0.0)
        return pids

    def processes(self) -> list[BoundProcess]:
        """The live processes bound to the node's devices, and dead ones that a fault holds there."""
        return [
            BoundProcess(slot.device, slot.pid, slot.memory_bytes // MIB, workloads.WORKLOADS[slot.workload])
            for slot in self.state.view.processes
            if slot.in_use and (slot.stuck or process_start_ticks(slot.pid) == slot.start_ticks)
        ]

    def _admit(self, view: Any, gpu: int, memory_mib: int, mig: tuple[int, int] | None) -> None:
        if not 0 <= gpu < view.header.device_count:
            raise ValueError(f"no device {gpu}: the node has 0 to {view.header.device_count - 1}")
        device = view.devices[gpu]
        others = [slot for slot in view.processes if slot.in_use and slot.device == gpu]
        if bool(device.mig_mode) != bool(mig):
            raise DeviceBusy(f"device {gpu} has MIG {'on: name an instance' if device.mig_mode else 'off'}")
        if mig:
            others = [slot for slot in others if slot.gpu_instance == mig[0]]
        if device.compute_mode == 2 or (device.compute_mode == 3 and others):
            raise DeviceBusy(f"device {gpu} admits no further process (compute mode {device.compute_mode})")
        held = sum(slot.memory_bytes for slot in others)
        if mig:
            free_mib = self._instance_memory_mib(view, gpu, *mig) - held // MIB
        else:
            free_mib = (device.memory_total - device.memory_reserved - device.zombie_bytes - held) // MIB
        if memory_mib > free_mib:
            raise OutOfMemory(f"device {gpu} has {free_mib} MiB free, {memory_mib} MiB were asked for")

    @staticmethod
    def _instance_memory_mib(view: Any, gpu: int, gpu_instance: int, compute_instance: int) -> int:
        for each in view.partitions[gpu].instances:
            known = compute_instance < layout.MAX_INSTANCES and each.compute[compute_instance].in_use
            if each.in_use and each.id == gpu_instance and known:
                return int(view.mig_profiles[each.profile].memory_mib)
        raise ValueError(f"device {gpu} has no instance {gpu_instance}:{compute_instance}")

    @staticmethod
    def _purge(view: Any) -> None:
        for slot in view.processes:
            if not slot.in_use:
                continue
            alive = process_start_ticks(slot.pid) == slot.start_ticks
            held = faults.active(view, "stuck_process", slot.device)
            slot.stuck = int(held and (alive or slot.stuck))
            slot.in_use = int(alive or slot.stuck)

    def _advance(self, view: Any, seconds: float, since: int | None = None) -> None:
        """Derive everything anew after some seconds; log XIDs from event number `since` on, now where left out."""
        since = view.header.event_count if since is None else since
        faults.settle(view)
        self._purge(view)
        jobs: dict[int, list[Any]] = {}
        for slot in view.processes:
            if slot.in_use:
                jobs.setdefault(slot.device, []).append(slot)
        for index in range(view.header.device_count):
            loads = _loads(view, index, jobs.get(index, []), seconds)
            accounting.note(view, index, jobs.get(index, []), seconds)
            hot, brake = faults.active(view, "thermal", index), faults.active(view, "power_brake", index)
            with writing(view.devices[index]) as device:
                faults.show(view, device, index)
                faults.wear(view, device, index, round(seconds * 1e9))
                load = workloads.together(loads)
                board.run(device, self.profile, load, seconds, busy=bool(loads), hot=hot, brake=brake)
        kernel_log.append(self.state.path, view, since)


def _loads(view: Any, index: int, jobs: list[Any], seconds: float) -> list[workloads.Load]:
    """The loads of a device's jobs as the whole device feels them; counts them up on their GPU instances."""
    loads = [_load_of(slot, view.header.clock_ns) for slot in jobs]
    if not view.devices[index].mig_mode:
        return loads
    whole = []
    for instance in view.partitions[index].instances:
        if not instance.in_use:
            continue
        mine = [load for slot, load in zip(jobs, loads, strict=True) if slot.gpu_instance == instance.id]
        load = workloads.together(mine)
        board.count_up(instance, load, 1.0, False, seconds)
        if mine:
            whole.append(workloads.share(load, view.mig_profiles[instance.profile].slices / 7))
    return whole


def _load_of(slot: Any, clock_ns: int) -> workloads.Load:
    second = int((clock_ns - slot.registered_ns) // 1_000_000_000)
    load = workloads.MODELS[workloads.WORKLOADS[slot.workload]](slot.seed, second)
    slot.sm_util, slot.mem_util = round(load.utilisation), round(load.memory_utilisation)
    slot.util_us = clock_ns // 1000
    return load


__all__ = ["BoundProcess", "DeviceBusy", "OutOfMemory", "SimNode", "StateError"]
