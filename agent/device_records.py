"""What the agent knows of its devices, as plain frozen data. No NVML in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

HealthLevel = Literal["ok", "warn", "drain", "fail"]
ComputeMode = Literal["default", "prohibited", "exclusive_process"]
Setting = Literal["persistence_mode", "compute_mode", "power_limit", "locked_clocks"]
SettingValue = bool | float | str | None
"""Of persistence_mode true or false; of compute_mode a ComputeMode; of power_limit watts, None for the board's default;
of locked_clocks None alone: unlocked."""


Layout = tuple[tuple[str, int], ...]
"""How a device is cut: (MIG profile, first memory slice) of each instance. Empty: whole, MIG off."""


def is_mig(uuid: str) -> bool:
    """Whether a UUID is a MIG device's and not a whole one's."""
    return uuid.startswith("MIG-")


class NvmlError(Exception):
    """A call to the library failed. `code` is NVML's name without its prefix, such as GPU_IS_LOST."""

    def __init__(self, code: str, call: str) -> None:
        super().__init__(f"{call}: {code}")
        self.code = code
        self.call = call


@dataclass(frozen=True)
class NodeFacts:
    """What NVML says of the whole node. cuda_version is 13000 for 13.0."""

    driver_version: str
    nvml_version: str
    cuda_version: int | None
    device_count: int


@dataclass(frozen=True)
class MigInstance:
    """A MIG device: the one compute instance of a GPU instance. `profile` such as 1g.10gb.

    `start`: its first slice of the GPU's memory, of `size`, of `of`; None where only root could have asked.
    """

    uuid: str
    profile: str
    gpu_instance: int
    compute_instance: int
    memory_mib: int
    start: int | None = None
    size: int | None = None
    of: int | None = None


@dataclass(frozen=True)
class MigPlace:
    """Where a MIG device is: the UUID of its GPU, and the ids of its instances there."""

    parent: str
    gpu_instance: int
    compute_instance: int


@dataclass(frozen=True)
class DeviceFacts:
    """What does not change while a device works. `uuid` is the identity; index and minor number are not stable."""

    uuid: str
    index: int
    minor: int | None
    name: str
    serial: str | None
    part_number: str | None
    pci_bus_id: str
    memory_mib: int
    compute_capability: str | None
    architecture: str | None
    mig_capable: bool
    mig_enabled: bool
    power_limit_watts: float | None
    power_default_watts: float | None
    power_min_watts: float | None
    power_max_watts: float | None
    persistence_mode: bool | None
    compute_mode: str | None
    ecc_enabled: bool | None
    vbios_version: str | None
    inforom_version: str | None
    nvlink_count: int
    gpm_supported: bool
    numa_node: int | None
    mig_instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True)
class DeviceFault:
    """A device that did not answer: which, and NVML's code name. `uuid` is None where not even that is known."""

    index: int | None
    uuid: str | None
    code: str


@dataclass(frozen=True)
class Inventory:
    """The node, its devices, and those that did not answer."""

    node: NodeFacts
    devices: tuple[DeviceFacts, ...]
    faults: tuple[DeviceFault, ...] = ()


@dataclass(frozen=True)
class DeviceProcess:
    """A process on a device; memory_mib is None where the driver does not say."""

    pid: int
    memory_mib: int | None


@dataclass(frozen=True)
class DeviceSample:
    """One look at a device. None means that the device does not measure it, never zero.

    sm_active and tensor_active are means since the previous sample, so the first sample has none; so has everything
    before Hopper.
    """

    uuid: str
    at: datetime
    utilisation_percent: int | None
    memory_utilisation_percent: int | None
    sm_active_percent: float | None
    tensor_active_percent: float | None
    memory_used_mib: int
    memory_total_mib: int
    power_watts: float | None
    energy_mj: int | None
    temperature_c: int | None
    memory_temperature_c: int | None
    sm_clock_mhz: int | None
    clock_event_reasons: int | None
    performance_state: int | None
    processes: tuple[DeviceProcess, ...]
    nvml_cost_us: int


@dataclass(frozen=True)
class SampleSet:
    """The samples of one round, and the devices that gave none."""

    samples: tuple[DeviceSample, ...]
    faults: tuple[DeviceFault, ...] = ()


@dataclass(frozen=True)
class DeviceReading:
    """Every figure that health and handover are judged by. None: the device does not have that counter."""

    uuid: str
    at: datetime
    memory_used_mib: int
    processes: tuple[DeviceProcess, ...]
    temperature_c: int | None
    power_watts: float | None
    clock_event_reasons: int | None
    ecc_enabled: bool | None
    ecc_sbe_volatile: int | None
    ecc_dbe_volatile: int | None
    ecc_sbe_aggregate: int | None
    ecc_dbe_aggregate: int | None
    remap_correctable: int | None
    remap_uncorrectable: int | None
    remap_pending: bool | None
    remap_failed: bool | None
    retired_pending: bool | None
    recovery_action: int | None
    pcie_generation: int | None
    pcie_generation_max: int | None
    pcie_width: int | None
    pcie_width_max: int | None
    pcie_replay: int | None
    nvlinks_down: tuple[int, ...]
    nvlink_replay: int | None
    nvlink_recovery: int | None
    fabric_state: int | None
    persistence_mode: bool | None
    compute_mode: str | None
    power_limit_watts: float | None
    power_default_watts: float | None
    mig_enabled: bool | None
    serial: str | None
    vbios_version: str | None
    inforom_version: str | None
    driver_version: str


@dataclass(frozen=True)
class DeviceHealth:
    """A judgement: the worst level, and the code of each reason."""

    uuid: str
    level: HealthLevel
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One step of the ladder, with what was seen and what was asked for, as text for the evidence."""

    code: str
    passed: bool
    observed: str
    expected: str


@dataclass(frozen=True)
class DeviceCheck:
    """The ladder for one device. `reading` is the evidence, None where the device did not answer."""

    uuid: str
    passed: bool
    checks: tuple[Check, ...]
    reading: DeviceReading | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Action:
    """Something that was done to a device; `result` is done, or NVML's (or the host's) code where it was refused."""

    name: str
    value: str
    result: str


@dataclass(frozen=True)
class XidEvent:
    """An XID that the driver reported."""

    uuid: str
    xid: int
    at: datetime
