"""One board: its identity, and how clocks, power, heat and counters follow a load."""

from __future__ import annotations

import uuid
from typing import Any

from simulator import profiles, workloads

MIB = 1 << 20
COUNTERS = ("graphics", "sm", "occupancy", "tensor", "dram", "pcie_tx", "pcie_rx", "nvlink_tx", "nvlink_rx")
REASON_IDLE, REASON_POWER_CAP, REASON_HW_SLOWDOWN, REASON_HW_THERMAL, REASON_HW_BRAKE = 0x1, 0x4, 0x8, 0x40, 0x80
WARMING_SECONDS = 20.0  # time constant of the board's temperature


def run(
    device: Any, profile: profiles.Profile, load: workloads.Load, seconds: float, *, busy: bool, hot: bool, brake: bool
) -> None:
    """Let a device carry a load for some seconds: clocks, power, temperature, counters.

    busy: a process has a context open; what that alone draws is the floor. hot: above the slowdown temperature; brake:
    the power supply holds the board back. Both halve the clocks.
    """
    slow = hot or brake
    floor_watts = profile.idle_watts + (profile.context_watts if busy else 0)
    wanted_mw = 1000 * (floor_watts + (profile.power_max_watts - floor_watts) * load.power_share)
    capped = wanted_mw > device.power_limit_mw
    power_mw = min(wanted_mw, device.power_limit_mw) * (0.45 if slow and busy else 1.0)
    slowed = 0.5 if slow else (device.power_limit_mw / wanted_mw) ** 0.5 if capped else 1.0
    device.power_mw = round(max(power_mw, profile.idle_watts * 1000))
    device.util_gpu, device.util_memory = round(load.utilisation), round(load.memory_utilisation)
    device.sm_clock = round(profile.sm_clock_mhz * slowed) if busy else profile.idle_sm_clock_mhz
    if device.locked_clock:
        device.sm_clock = min(device.sm_clock, device.locked_clock)
    device.mem_clock = profile.memory_clock_mhz if busy or profile.idle_pstate == 0 else 405
    device.pstate = 0 if busy else profile.idle_pstate
    device.pcie_gen = profile.pcie_generation if busy or profile.idle_pstate == 0 else 1
    reasons = (0 if busy else REASON_IDLE) | (REASON_POWER_CAP if capped else 0)
    reasons |= REASON_HW_SLOWDOWN | REASON_HW_THERMAL if hot else 0
    reasons |= REASON_HW_SLOWDOWN | REASON_HW_BRAKE if brake else 0
    device.clock_event_reasons = reasons
    device.violation_power_ns += int(seconds * 1e9) if capped else 0
    device.violation_brake_ns += int(seconds * 1e9) if brake else 0
    device.violation_thermal_ns += int(seconds * 1e9) if hot else 0
    device.energy += device.power_mw * seconds
    device.energy_mj = int(device.energy)
    _warm(device, profile, seconds, hot)
    device.gpm_seconds += seconds
    count_up(device, load, slowed, bool(profile.nvlink_links), seconds)


def _warm(device: Any, profile: profiles.Profile, seconds: float, hot: bool) -> None:
    share = (device.power_mw / 1000 - profile.idle_watts) / (profile.power_max_watts - profile.idle_watts)
    target = profile.idle_celsius + (profile.load_celsius - profile.idle_celsius) * max(0.0, share)
    if hot:
        device.temperature = profile.slowdown_celsius + 2.0
    else:
        device.temperature += (target - device.temperature) * (1 - 2.718281828 ** (-seconds / WARMING_SECONDS))
    device.temperature_c = round(device.temperature)
    device.memory_temperature_c = round(device.temperature + 6 * max(0.0, share) + 3)


def describe(device: Any, kind: profiles.Profile, node: str, index: int) -> None:
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


def describe_mig(view: Any, kind: profiles.Profile) -> None:
    """Write the kinds of GPU instances that the node's devices can be cut into."""
    for row, said in zip(view.mig_profiles, kind.mig_profiles, strict=False):
        for name, value in said.items():
            if name == "name":
                row.name = value.encode()
            else:
                setattr(row, name, sum(1 << start for start in value) if name == "starts" else value)


def count_up(target: Any, load: workloads.Load, slowed: float, links: bool, seconds: float) -> None:
    """Add a load over some seconds to the interval counters of a device or a GPU instance."""
    values = (load.utilisation, load.sm * slowed, load.occupancy, load.tensor * slowed, load.dram)
    rates = (load.pcie_mib_per_second,) * 2 + (load.nvlink_mib_per_second if links else 0.0,) * 2
    for name, value in zip(COUNTERS, values + rates, strict=True):
        setattr(target, f"now_{name}", value)
        setattr(target, name, getattr(target, name) + value * seconds)
