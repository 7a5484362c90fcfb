"""What a device is and how it stands: facts, readings, processes, links. Each function asks one device, unguarded."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import DeviceFacts, DeviceProcess, DeviceReading, NodeFacts, NvmlError, is_mig
from agent.nvml import mig, numbers
from agent.nvml.library import call, ensure_started, flag, handle_of, keep_handle, maybe, newest, optional, watts
from agent.nvml.processes import MIB, processes

COMMON_ANCESTORS = {0: "same board", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""nvmlGpuTopologyLevel in the words of `nvidia-smi topo`."""


def node_facts() -> NodeFacts:
    """The node's driver and how many devices NVML counts."""
    ensure_started()
    return NodeFacts(
        driver_version=call(pynvml.nvmlSystemGetDriverVersion),
        nvml_version=call(pynvml.nvmlSystemGetNVMLVersion),
        cuda_version=optional(lambda: call(pynvml.nvmlSystemGetCudaDriverVersion_v2)),
        device_count=call(pynvml.nvmlDeviceGetCount),
    )


def device_count() -> int:
    """How many devices NVML counts, lost ones among them."""
    ensure_started()
    return int(call(pynvml.nvmlDeviceGetCount))


def uuid_at(index: int) -> str:
    """The UUID of the device that has this index now; NvmlError where it does not answer."""
    ensure_started()
    handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
    uuid = str(call(pynvml.nvmlDeviceGetUUID, handle))
    keep_handle(uuid, handle)
    return uuid


def device_facts(uuid: str) -> DeviceFacts:
    """What does not change while the device works. NvmlError where it does not answer."""
    handle = handle_of(uuid)
    mode = maybe(pynvml.nvmlDeviceGetMigMode, handle)
    capability = maybe(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    limits = maybe(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle) or (None, None)
    compute_mode = maybe(pynvml.nvmlDeviceGetComputeMode, handle)
    ecc = maybe(pynvml.nvmlDeviceGetEccMode, handle)
    bus_id = call(pynvml.nvmlDeviceGetPciInfo, handle).busId
    return DeviceFacts(
        uuid=uuid,
        index=call(pynvml.nvmlDeviceGetIndex, handle),
        minor=maybe(pynvml.nvmlDeviceGetMinorNumber, handle),
        name=call(pynvml.nvmlDeviceGetName, handle),
        serial=maybe(pynvml.nvmlDeviceGetSerial, handle),
        part_number=maybe(pynvml.nvmlDeviceGetBoardPartNumber, handle),
        pci_bus_id=bus_id.decode() if isinstance(bus_id, bytes) else str(bus_id),
        memory_mib=memory(handle)[1],
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        architecture=numbers.ARCHITECTURES.get(maybe(pynvml.nvmlDeviceGetArchitecture, handle)),
        mig_capable=mode is not None,
        mig_enabled=bool(mode and mode[0]),
        power_limit_watts=watts(maybe(pynvml.nvmlDeviceGetPowerManagementLimit, handle)),
        power_default_watts=watts(maybe(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
        power_min_watts=watts(limits[0]),
        power_max_watts=watts(limits[1]),
        persistence_mode=flag(maybe(pynvml.nvmlDeviceGetPersistenceMode, handle)),
        compute_mode=None if compute_mode is None else numbers.COMPUTE_MODES.get(compute_mode, str(compute_mode)),
        ecc_enabled=flag(ecc[0]) if ecc else None,
        vbios_version=maybe(pynvml.nvmlDeviceGetVbiosVersion, handle),
        inforom_version=maybe(pynvml.nvmlDeviceGetInforomImageVersion, handle),
        nvlink_count=len(link_states(handle)),
        gpm_supported=gpm_supported(handle),
        numa_node=maybe(pynvml.nvmlDeviceGetNumaNodeId, handle),
        mig_instances=mig.told_instances(uuid),
    )


def minor_of(uuid: str) -> int:
    """The N of the device's /dev/nvidiaN."""
    return int(call(pynvml.nvmlDeviceGetMinorNumber, handle_of(uuid)))


def memory(handle: Any) -> tuple[int, int]:
    """Used and total in MiB; used leaves out the driver's reserve where the driver can tell (version 2)."""
    found = optional(
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2),
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle),
    )
    if found is None:
        raise NvmlError("NOT_SUPPORTED", "nvmlDeviceGetMemoryInfo")
    return int(found.used) // MIB, int(found.total) // MIB


def fields(handle: Any, ids: Iterable[int]) -> dict[int, int]:
    """Field values in one call, without those that the device does not have. The union's part follows its type."""
    parts = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
    values = maybe(pynvml.nvmlDeviceGetFieldValues, handle, list(ids)) or ()
    return {
        int(each.fieldId): int(getattr(each.value, parts[each.valueType]))
        for each in values
        if each.nvmlReturn == 0 and each.valueType in parts
    }


def processes_of(uuid: str) -> tuple[DeviceProcess, ...]:
    """Who is on the device."""
    return processes(handle_of(uuid))


def link_states(handle: Any) -> list[bool]:
    """Whether each NVLink is up; empty where there is none."""
    states: list[bool] = []
    for link in range(int(getattr(pynvml, "NVML_NVLINK_MAX_LINKS", 18))):
        try:
            states.append(bool(call(pynvml.nvmlDeviceGetNvLinkState, handle, link)))
        except NvmlError as error:
            if error.code in numbers.ABSENT or error.code == "INVALID_ARGUMENT":  # no link of that number
                break
            raise
    return states


def topology_of(uuid: str, others: Iterable[str]) -> dict[str, str]:
    """How far each other device is from this one, as `nvidia-smi topo` says it: NODE, SYS, PIX, …"""
    handle = handle_of(uuid)
    levels = {
        other: maybe(pynvml.nvmlDeviceGetTopologyCommonAncestor, handle, handle_of(other))
        for other in others
        if other != uuid
    }
    return {other: COMMON_ANCESTORS.get(level, str(level)) for other, level in levels.items() if level is not None}


def gpm_supported(handle: Any) -> bool:
    """Whether the device has the interval counters of Hopper and later."""
    support = maybe(pynvml.nvmlGpmQueryDeviceSupport, handle)
    return bool(support and support.isSupportedDevice)


def temperature(handle: Any) -> int | None:
    """Celsius."""
    return newest(handle, "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU)


def clock_reasons(handle: Any) -> int | None:
    """Why clocks are held back: a bit mask of nvml.h."""
    prefix = "nvmlDeviceGetCurrentClocks"
    return newest(handle, f"{prefix}EventReasons", f"{prefix}ThrottleReasons")


def power(handle: Any) -> float | None:
    """Watts."""
    return watts(maybe(pynvml.nvmlDeviceGetPowerUsage, handle))


def _fabric_state(handle: Any) -> int | None:
    """The NVSwitch fabric's registration state; None where the device has no fabric (state 0) or the driver no word."""
    info = pynvml.c_nvmlGpuFabricInfo_v2_t()
    info.version = pynvml.nvmlGpuFabricInfo_v2
    if maybe(pynvml.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(info)) is None:
        return None
    return int(info.state) or None


def reading(uuid: str) -> DeviceReading:
    """Every figure that health and handover are judged by. NvmlError where the device does not answer.

    Of a MIG device, memory and processes are its own; everything else is its GPU's, which alone is asked for it.
    """
    own = handle_of(uuid)
    handle = call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, own) if is_mig(uuid) else own
    found = fields(handle, numbers.READING_FIELDS)
    ecc = maybe(pynvml.nvmlDeviceGetEccMode, handle)
    mode = maybe(pynvml.nvmlDeviceGetMigMode, handle)
    compute_mode = maybe(pynvml.nvmlDeviceGetComputeMode, handle)
    return DeviceReading(
        uuid=uuid,
        at=datetime.now(UTC),
        memory_used_mib=memory(own)[0],
        processes=processes(own),
        temperature_c=temperature(handle),
        power_watts=power(handle),
        clock_event_reasons=clock_reasons(handle),
        ecc_enabled=flag(ecc[0]) if ecc else None,
        ecc_sbe_volatile=found.get(numbers.FIELD_ECC[0]),
        ecc_dbe_volatile=found.get(numbers.FIELD_ECC[1]),
        ecc_sbe_aggregate=found.get(numbers.FIELD_ECC[2]),
        ecc_dbe_aggregate=found.get(numbers.FIELD_ECC[3]),
        remap_correctable=found.get(numbers.FIELD_REMAPS[0]),
        remap_uncorrectable=found.get(numbers.FIELD_REMAPS[1]),
        remap_pending=flag(found.get(numbers.FIELD_REMAPS[2])),
        remap_failed=flag(found.get(numbers.FIELD_REMAPS[3])),
        retired_pending=flag(found.get(numbers.FIELD_RETIRED_PENDING)),
        recovery_action=found.get(numbers.FIELD_RECOVERY_ACTION),
        pcie_generation=maybe(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        pcie_generation_max=maybe(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        pcie_width=maybe(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        pcie_width_max=maybe(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        pcie_replay=found.get(numbers.FIELD_PCIE_REPLAY),
        nvlinks_down=tuple(link for link, up in enumerate(link_states(handle)) if not up),
        nvlink_replay=found.get(numbers.FIELD_NVLINK[0]),
        nvlink_recovery=found.get(numbers.FIELD_NVLINK[1]),
        fabric_state=_fabric_state(handle),
        persistence_mode=flag(maybe(pynvml.nvmlDeviceGetPersistenceMode, handle)),
        compute_mode=None if compute_mode is None else numbers.COMPUTE_MODES.get(compute_mode, str(compute_mode)),
        power_limit_watts=watts(maybe(pynvml.nvmlDeviceGetPowerManagementLimit, handle)),
        power_default_watts=watts(maybe(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
        mig_enabled=flag(mode[0]) if mode else None,
        serial=maybe(pynvml.nvmlDeviceGetSerial, handle),
        vbios_version=maybe(pynvml.nvmlDeviceGetVbiosVersion, handle),
        inforom_version=maybe(pynvml.nvmlDeviceGetInforomImageVersion, handle),
        driver_version=call(pynvml.nvmlSystemGetDriverVersion),
    )
