"""The brain: a node's devices, the jobs bound to them and the faults put into them, advanced by a clock."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import faults, kernel_log, layout, profiles, workloads
from simulator.state import StateError, StateFile, empty_state, process_start_ticks, writing

MIB = 1 << 20
COUNTERS = ("graphics", "sm", "occupancy", "tensor", "dram", "pcie_tx", "pcie_rx", "nvlink_tx", "nvlink_rx")
REASON_IDLE, REASON_POWER_CAP, REASON_HW_SLOWDOWN, REASON_HW_THERMAL, REASON_HW_BRAKE = 0x1, 0x4, 0x8, 0x40, 0x80
WARMING_SECONDS = 20.0  # time constant of the board's temperature
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


@dataclass(frozen=True)
class Limits:
    """What the hardware protects itself from at this moment: heat, or the power supply's brake."""

    hot: bool
    brake: bool

    @property
    def hold_back(self) -> bool:
        """Clocks are halved."""
        return self.hot or self.brake

    @property
    def reasons(self) -> int:
        """The bits of nvml.h's clocks event reasons."""
        slowdown = REASON_HW_SLOWDOWN if self.hold_back else 0
        return slowdown | (REASON_HW_THERMAL if self.hot else 0) | (REASON_HW_BRAKE if self.brake else 0)


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
        header.created_ns = header.clock_ns = int((time.time() if now is None else now) * 1e9)
        header.driver_version, header.nvml_version = kind.driver_version.encode(), f"13.{kind.driver_version}".encode()
        header.cuda_version, header.node_name, header.profile = kind.cuda_version, name.encode()[:63], profile.encode()
        for index in range(devices):
            _describe(state.devices[index], kind, name, index)
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

    def bind(self, pid: int, gpus: list[int], memory_mib: int, workload: str = "pretrain") -> None:
        """Put a live process on devices, with so much memory on each.

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
                self._admit(view, gpu, memory_mib)
            free = [slot for slot in view.processes if not slot.in_use]
            if len(free) < len(gpus):
                raise OutOfMemory(f"the node's process table is full ({layout.MAX_PROCESSES})")
            for gpu, slot in zip(gpus, free, strict=False):
                view.header.process_serial += 1
                slot.device, slot.pid, slot.start_ticks = gpu, pid, start_ticks
                slot.workload, slot.memory_bytes = workloads.WORKLOADS.index(workload), memory_mib * MIB
                slot.registered_ns = view.header.clock_ns
                slot.seed = workloads.mix(view.header.seed, gpu, view.header.process_serial)
                slot.sm_util = slot.mem_util = slot.util_us = 0
                slot.in_use = 1
            self._advance(view, 0.0)

    def unbind(self, pid: int) -> None:
        """Take a process off every device, unless it is stuck there; harmless where it is on none."""
        with self.state.locked() as view:
            for slot in view.processes:
                if slot.in_use and slot.pid == pid and not slot.stuck:
                    slot.in_use = 0
            self._advance(view, 0.0)

    def inject(self, kind: str, **arguments: Any) -> None:
        """Put a fault into the node: see `faults.inject` for kinds and arguments."""
        with self.state.locked() as view:
            before = view.header.event_count
            faults.inject(view, kind, **arguments)
            kernel_log.write(self.state.path, view, before)
            self._advance(view, 0.0)

    def reset(self, gpu: int) -> None:
        """Reset a device as `nvidia-smi --gpu-reset` does: DeviceBusy while it is used; a lost one stays lost."""
        with self.state.locked() as view:
            self._purge(view)
            if any(slot.in_use and slot.device == gpu for slot in view.processes):
                raise DeviceBusy(f"device {gpu} is in use by another client")
            faults.reset(view, gpu)
            self._advance(view, 0.0)

    def reboot(self) -> None:
        """Restart the server: lost devices come back, volatile faults and stuck processes go, failed rows stay."""
        with self.state.locked() as view:
            for kind in faults.KINDS:
                if kind not in faults.OUTLIVE_A_REBOOT:
                    faults.clear(view, kind)
            for slot in view.processes:
                slot.in_use = slot.stuck = 0
            for index in range(view.header.device_count):
                faults.reset(view, index)
            kernel_log.begin(self.state.path)
            self._advance(view, 0.0)

    def clear(self, kind: str | None = None, gpu: int | None = None) -> int:
        """Take faults out again, all or those of a kind or device; returns how many there were."""
        with self.state.locked() as view:
            cleared = faults.clear(view, kind, gpu)
            self._advance(view, 0.0)
        return cleared

    def processes(self) -> list[BoundProcess]:
        """The live processes bound to the node's devices."""
        return [
            BoundProcess(slot.device, slot.pid, slot.memory_bytes // MIB, workloads.WORKLOADS[slot.workload])
            for slot in self.state.view.processes
            if slot.in_use and (slot.stuck or process_start_ticks(slot.pid) == slot.start_ticks)
        ]

    def _admit(self, view: Any, gpu: int, memory_mib: int) -> None:
        if not 0 <= gpu < view.header.device_count:
            raise ValueError(f"no device {gpu}: the node has 0 to {view.header.device_count - 1}")
        device = view.devices[gpu]
        others = [slot for slot in view.processes if slot.in_use and slot.device == gpu]
        if device.compute_mode == 2 or (device.compute_mode == 3 and others):
            raise DeviceBusy(f"device {gpu} admits no further process (compute mode {device.compute_mode})")
        held = sum(slot.memory_bytes for slot in others) + device.zombie_bytes
        free_mib = (device.memory_total - device.memory_reserved - held) // MIB
        if memory_mib > free_mib:
            raise OutOfMemory(f"device {gpu} has {free_mib} MiB free, {memory_mib} MiB were asked for")

    @staticmethod
    def _purge(view: Any) -> None:
        faults.hold_stuck(view)
        for slot in view.processes:
            if slot.in_use and not slot.stuck and process_start_ticks(slot.pid) != slot.start_ticks:
                slot.in_use = 0

    def _advance(self, view: Any, seconds: float) -> None:
        self._purge(view)
        faults.settle(view)
        jobs: dict[int, list[Any]] = {}
        for slot in view.processes:
            if slot.in_use:
                jobs.setdefault(slot.device, []).append(slot)
        for index in range(view.header.device_count):
            loads = [_load_of(slot, view.header.clock_ns) for slot in jobs.get(index, [])]
            limits = Limits(hot=faults.active(view, "thermal", index), brake=faults.active(view, "power_brake", index))
            with writing(view.devices[index]) as device:
                faults.show(view, device, index)
                faults.wear(view, device, index, seconds)
                _run(device, self.profile, workloads.together(loads), seconds, busy=bool(loads), limits=limits)


def _load_of(slot: Any, clock_ns: int) -> workloads.Load:
    second = int((clock_ns - slot.registered_ns) // 1_000_000_000)
    load = workloads.MODELS[workloads.WORKLOADS[slot.workload]](slot.seed, second)
    slot.sm_util, slot.mem_util = round(load.utilisation), round(load.memory_utilisation)
    slot.util_us = clock_ns // 1000
    return load


def _run(
    device: Any, profile: profiles.Profile, load: workloads.Load, seconds: float, *, busy: bool, limits: Limits
) -> None:
    """Let a device carry a load for some seconds: clocks, power, temperature, counters."""
    wanted_mw = 1000 * (profile.idle_watts + (profile.power_max_watts - profile.idle_watts) * load.power_share)
    capped = wanted_mw > device.power_limit_mw
    power_mw = min(wanted_mw, device.power_limit_mw) * (0.45 if limits.hold_back and busy else 1.0)
    slowed = 0.5 if limits.hold_back else (device.power_limit_mw / wanted_mw) ** 0.5 if capped else 1.0
    device.power_mw = round(max(power_mw, profile.idle_watts * 1000))
    device.util_gpu, device.util_memory = round(load.utilisation), round(load.memory_utilisation)
    device.sm_clock = round(profile.sm_clock_mhz * slowed) if busy else profile.idle_sm_clock_mhz
    device.mem_clock = profile.memory_clock_mhz if busy or profile.idle_pstate == 0 else 405
    device.pstate = 0 if busy else profile.idle_pstate
    device.pcie_gen = profile.pcie_generation if busy or profile.idle_pstate == 0 else 1
    reasons = (0 if busy else REASON_IDLE) | (REASON_POWER_CAP if capped else 0)
    device.clock_event_reasons = reasons | limits.reasons
    device.violation_power_ns += int(seconds * 1e9) if capped else 0
    device.violation_thermal_ns += int(seconds * 1e9) if limits.hot else 0
    device.energy += device.power_mw * seconds
    device.energy_mj = int(device.energy)
    _warm(device, profile, seconds, limits.hot)
    values = (load.utilisation, load.sm * slowed, load.occupancy, load.tensor * slowed, load.dram)
    rates = (load.pcie_mib_per_second,) * 2 + (load.nvlink_mib_per_second if profile.nvlink_links else 0.0,) * 2
    device.gpm_seconds += seconds
    for name, value in zip(COUNTERS, values + rates, strict=True):
        setattr(device, f"now_{name}", value)
        setattr(device, name, getattr(device, name) + value * seconds)


def _warm(device: Any, profile: profiles.Profile, seconds: float, hot: bool) -> None:
    share = (device.power_mw / 1000 - profile.idle_watts) / (profile.power_max_watts - profile.idle_watts)
    target = profile.idle_celsius + (profile.load_celsius - profile.idle_celsius) * max(0.0, share)
    if hot:
        device.temperature = profile.slowdown_celsius + 2.0
    else:
        device.temperature += (target - device.temperature) * (1 - 2.718281828 ** (-seconds / WARMING_SECONDS))
    device.temperature_c = round(device.temperature)
    device.memory_temperature_c = round(device.temperature + 6 * max(0.0, share) + 3)


def _describe(device: Any, kind: profiles.Profile, node: str, index: int) -> None:
    """Fill in what never changes. Identity is derived from the node's name and the slot: the same on every run."""
    bus = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF)[index % 8] + index // 8
    device.uuid = f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{node}.{kind.key}.{index}.gpu.invalid')}".encode()
    device.serial = str(1_320_000_000_000 + workloads.mix(*node.encode(), index) % 9_999_999_999).encode()
    device.name, device.vbios = kind.name.encode(), kind.vbios.encode()
    device.inforom, device.part_number = kind.inforom.encode(), kind.part_number.encode()
    device.bus_id, device.bus_id_legacy = f"00000000:{bus:02X}:00.0".encode(), f"0000:{bus:02X}:00.0".encode()
    device.pci_bus, device.minor_number, device.module_id = bus, index, index + 1
    device.pci_device_id, device.pci_subsystem_id = kind.pci_device_id, kind.pci_subsystem_id
    device.brand, device.architecture = 14, kind.architecture
    device.cc_major, device.cc_minor = kind.compute_capability
    device.memory_total, device.memory_reserved = kind.memory_total_mib * MIB, kind.memory_reserved_mib * MIB
    device.bar1_total = 1 << (kind.memory_total_mib * MIB - 1).bit_length()
    device.power_min_mw, device.power_max_mw = kind.power_min_watts * 1000, kind.power_max_watts * 1000
    device.power_default_mw = device.power_limit_mw = kind.power_max_watts * 1000
    device.pcie_gen_max = device.pcie_gen = kind.pcie_generation
    device.pcie_width_max = device.pcie_width = 16
    device.nvlink_count, device.nvlink_version = kind.nvlink_links, kind.nvlink_version
    device.fabric_state, device.gpm_supported = 3 if kind.fabric else 0, int(kind.gpm)
    device.mig_capable, device.row_remap_supported = int(kind.mig), int(kind.row_remap)
    device.page_retirement_supported = int(not kind.row_remap)
    device.sm_clock_max, device.mem_clock_max = kind.sm_clock_mhz, kind.memory_clock_mhz
    device.temp_slowdown, device.temp_shutdown = kind.slowdown_celsius, kind.shutdown_celsius
    device.temp_max, device.numa_node = kind.max_celsius, int(index >= kind.devices / 2)
    device.persistence_mode = device.ecc_mode = device.ecc_pending = 1
    device.temperature = float(kind.idle_celsius)


__all__ = ["BoundProcess", "DeviceBusy", "OutOfMemory", "SimNode", "StateError"]
