"""NVIDIA's management library as the agent uses it: the only module of the project that imports pynvml.

Everything goes by UUID and comes back as frozen dataclasses; every failure is a `NvmlError` with NVML's code name. The
library is initialised on first use in each process, anew after a fork, because a driver's client does not survive one.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent import device_checks as checks
from agent import nvml_numbers as numbers
from agent.device_checks import Baseline
from agent.device_records import (
    ComputeMode,
    DeviceCheck,
    DeviceFacts,
    DeviceFault,
    DeviceHealth,
    DeviceProcess,
    DeviceReading,
    DeviceSample,
    Inventory,
    NodeFacts,
    SampleSet,
    XidEvent,
)
from agent.device_records import (
    NvmlError as NvmlError,
)

MIB = 1 << 20
CODE_NAMES: dict[int, str] = {
    value: name.removeprefix("NVML_ERROR_") for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")
}

_lock = threading.RLock()
_gpm_lock = threading.Lock()  # GPM in parallel on several devices has crashed drivers (gpud, gpm.go)
_initialised = False
_library: str | None = None
_handles: dict[str, Any] = {}
_gpm_samples: dict[str, Any] = {}


def _forget_after_fork() -> None:
    global _lock, _gpm_lock, _initialised
    _lock, _gpm_lock, _initialised = threading.RLock(), threading.Lock(), False
    _handles.clear()
    _gpm_samples.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a pynvml function; its error becomes ours."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise NvmlError(CODE_NAMES.get(error.value, str(error.value)), function.__name__) from error


def optional(*attempts: Callable[[], Any]) -> Any:
    """The first attempt that the device and driver have; None where they have none. Other errors are raised."""
    for attempt in attempts:
        try:
            return attempt()
        except NvmlError as error:
            if error.code not in numbers.ABSENT:
                raise
    return None


def use_library(path: str | None) -> None:
    """Name the libnvidia-ml.so.1 to load; to be called before anything else. Without it NVML_LIBRARY, then ld.so."""
    global _library
    _library = path


def ensure_started() -> None:
    """Load and initialise in this process, once. A library loaded under the SONAME is the one that pynvml gets."""
    global _initialised
    with _lock:
        if _initialised:
            return
        path = _library or os.environ.get("NVML_LIBRARY")
        if path:
            try:
                ctypes.CDLL(path)
            except OSError as error:
                raise NvmlError("LIBRARY_NOT_FOUND", path) from error
        call(pynvml.nvmlInit)
        _initialised = True


def restart() -> None:
    """Shut down and forget every handle; the next call starts again. For after a reset, a lost device, a new driver."""
    global _initialised
    with _lock, _gpm_lock:
        for sample in _gpm_samples.values():
            _quietly(pynvml.nvmlGpmSampleFree, sample)
        _gpm_samples.clear()
        _handles.clear()
        if _initialised:
            _quietly(pynvml.nvmlShutdown)
        _initialised = False


def _quietly(function: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(function, *arguments)
    except NvmlError:
        pass


def _handle(uuid: str) -> Any:
    ensure_started()
    with _lock:
        if uuid not in _handles:
            _handles[uuid] = call(pynvml.nvmlDeviceGetHandleByUUID, uuid)
        return _handles[uuid]


def node_facts() -> NodeFacts:
    """The node's driver and how many devices NVML counts."""
    ensure_started()
    return NodeFacts(
        driver_version=call(pynvml.nvmlSystemGetDriverVersion),
        nvml_version=call(pynvml.nvmlSystemGetNVMLVersion),
        cuda_version=optional(lambda: call(pynvml.nvmlSystemGetCudaDriverVersion_v2)),
        device_count=call(pynvml.nvmlDeviceGetCount),
    )


def enumerate_uuids() -> tuple[tuple[str, ...], tuple[DeviceFault, ...]]:
    """The UUIDs of the devices that answer, and the faults of those that do not: one lost device hides no other."""
    ensure_started()
    found, faults = [], []
    for index in range(call(pynvml.nvmlDeviceGetCount)):
        try:
            handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
            uuid = call(pynvml.nvmlDeviceGetUUID, handle)
        except NvmlError as error:
            faults.append(DeviceFault(index, None, error.code))
            continue
        with _lock:
            _handles[uuid] = handle
        found.append(uuid)
    return tuple(found), tuple(faults)


def inventory() -> Inventory:
    """Everything about the node that is worth telling at the start and every ten minutes."""
    node = node_facts()
    uuids, faults = enumerate_uuids()
    devices, broken = _for_each(uuids, device_facts)
    return Inventory(node, tuple(devices), (*faults, *broken))


def _for_each(uuids: Iterable[str], ask: Callable[[str], Any]) -> tuple[list[Any], list[DeviceFault]]:
    answers, faults = [], []
    for uuid in uuids:
        try:
            answers.append(ask(uuid))
        except NvmlError as error:
            faults.append(DeviceFault(None, uuid, error.code))
    return answers, faults


def _maybe(function: Callable[..., Any], *arguments: Any) -> Any:
    return optional(lambda: call(function, *arguments))


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def device_facts(uuid: str) -> DeviceFacts:
    """What does not change while the device works. NvmlError where it does not answer."""
    handle = _handle(uuid)
    mig = _maybe(pynvml.nvmlDeviceGetMigMode, handle)
    capability = _maybe(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    limits = _maybe(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle) or (None, None)
    compute_mode = _maybe(pynvml.nvmlDeviceGetComputeMode, handle)
    ecc = _maybe(pynvml.nvmlDeviceGetEccMode, handle)
    bus_id = call(pynvml.nvmlDeviceGetPciInfo, handle).busId
    return DeviceFacts(
        uuid=uuid,
        index=call(pynvml.nvmlDeviceGetIndex, handle),
        minor=_maybe(pynvml.nvmlDeviceGetMinorNumber, handle),
        name=call(pynvml.nvmlDeviceGetName, handle),
        serial=_maybe(pynvml.nvmlDeviceGetSerial, handle),
        pci_bus_id=bus_id.decode() if isinstance(bus_id, bytes) else str(bus_id),
        memory_mib=_memory(handle)[1],
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        architecture=numbers.ARCHITECTURES.get(_maybe(pynvml.nvmlDeviceGetArchitecture, handle)),
        mig_capable=mig is not None,
        mig_enabled=bool(mig and mig[0]),
        power_limit_watts=_watts(_maybe(pynvml.nvmlDeviceGetPowerManagementLimit, handle)),
        power_default_watts=_watts(_maybe(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
        power_min_watts=_watts(limits[0]),
        power_max_watts=_watts(limits[1]),
        persistence_mode=_flag(_maybe(pynvml.nvmlDeviceGetPersistenceMode, handle)),
        compute_mode=None if compute_mode is None else numbers.COMPUTE_MODES.get(compute_mode, str(compute_mode)),
        ecc_enabled=_flag(ecc[0]) if ecc else None,
        vbios_version=_maybe(pynvml.nvmlDeviceGetVbiosVersion, handle),
        nvlink_count=len(_link_states(handle)),
        gpm_supported=_gpm_supported(handle),
        numa_node=_maybe(pynvml.nvmlDeviceGetNumaNodeId, handle),
    )


def _memory(handle: Any) -> tuple[int, int]:
    """Used and total in MiB; used leaves out the driver's reserve where the driver can tell (version 2)."""
    memory = optional(
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2),
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle),
    )
    if memory is None:
        raise NvmlError("NOT_SUPPORTED", "nvmlDeviceGetMemoryInfo")
    return int(memory.used) // MIB, int(memory.total) // MIB


def _fields(handle: Any, ids: Iterable[int]) -> dict[int, int]:
    """Field values in one call, without those that the device does not have. The union's part follows its type."""
    parts = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
    values = _maybe(pynvml.nvmlDeviceGetFieldValues, handle, list(ids)) or ()
    return {
        int(each.fieldId): int(getattr(each.value, parts[each.valueType]))
        for each in values
        if each.nvmlReturn == 0 and each.valueType in parts
    }


def _processes(handle: Any) -> tuple[DeviceProcess, ...]:
    """Compute, graphics and MPS processes, each PID once. NvmlError only where the compute list itself fails."""
    found: dict[int, int | None] = {}
    for kind in ("Compute", "Graphics", "MPSCompute"):
        names = [f"nvmlDeviceGet{kind}RunningProcesses_v{version}" for version in (3, 2)]
        lists = [partial(call, getattr(pynvml, name), handle) for name in names if hasattr(pynvml, name)]
        for entry in optional(*lists) or ():
            used = entry.usedGpuMemory
            found[int(entry.pid)] = None if used is None else int(used) // MIB
    return tuple(DeviceProcess(pid, memory) for pid, memory in sorted(found.items()))


def processes_on(uuids: Iterable[str]) -> dict[str, tuple[DeviceProcess, ...]]:
    """Who is on each device. NvmlError as soon as one does not answer: silence must not read as empty."""
    return {uuid: _processes(_handle(uuid)) for uuid in uuids}


def _link_states(handle: Any) -> list[bool]:
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


def _gpm_supported(handle: Any) -> bool:
    support = _maybe(pynvml.nvmlGpmQueryDeviceSupport, handle)
    return bool(support and support.isSupportedDevice)


def _gpm(uuid: str, handle: Any) -> tuple[float | None, float | None]:
    """SM and tensor activity in percent since the last call for this device; (None, None) at first or without GPM."""
    with _gpm_lock:
        if uuid not in _gpm_samples and not _gpm_supported(handle):
            return None, None
        sample = call(pynvml.nvmlGpmSampleAlloc)
        try:
            call(pynvml.nvmlGpmSampleGet, handle, sample)
        except NvmlError:
            _quietly(pynvml.nvmlGpmSampleFree, sample)
            raise
        previous = _gpm_samples.pop(uuid, None)
        _gpm_samples[uuid] = sample
        if previous is None:
            return None, None
        try:
            return _gpm_between(previous, sample)
        finally:
            _quietly(pynvml.nvmlGpmSampleFree, previous)


def _gpm_between(previous: Any, sample: Any) -> tuple[float | None, float | None]:
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.sample1, request.sample2 = previous, sample
    wanted = (numbers.GPM_SM, numbers.GPM_TENSOR)
    request.numMetrics = len(wanted)
    for place, number in enumerate(wanted):
        request.metrics[place].metricId = number
    call(pynvml.nvmlGpmMetricsGet, request)
    got = [request.metrics[place] for place in range(len(wanted))]
    sm, tensor = (round(float(each.value), 2) if each.nvmlReturn == 0 else None for each in got)
    return sm, tensor


def _newest(handle: Any, new: str, old: str, *arguments: Any) -> int | None:
    """A number by the call's present name, by its old one on an old driver, or None."""
    attempts = [
        partial(call, getattr(pynvml, name), handle, *arguments) for name in (new, old) if hasattr(pynvml, name)
    ]
    value = optional(*attempts)
    return None if value is None else int(value)


def _temperature(handle: Any) -> int | None:
    return _newest(handle, "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU)


def _clock_reasons(handle: Any) -> int | None:
    prefix = "nvmlDeviceGetCurrentClocks"
    return _newest(handle, f"{prefix}EventReasons", f"{prefix}ThrottleReasons")


def sample(uuid: str) -> DeviceSample:
    """One look at a device; NvmlError where it does not answer. Safe from one thread per device."""
    started = time.perf_counter_ns()
    handle = _handle(uuid)
    at = datetime.now(UTC)
    rates = _maybe(pynvml.nvmlDeviceGetUtilizationRates, handle)
    fields = _fields(handle, (numbers.FIELD_MEMORY_TEMPERATURE, numbers.FIELD_POWER))
    power = _maybe(pynvml.nvmlDeviceGetPowerUsage, handle)
    used, total = _memory(handle)
    sm_active, tensor_active = optional(lambda: _gpm(uuid, handle)) or (None, None)
    return DeviceSample(
        uuid=uuid,
        at=at,
        utilisation_percent=int(rates.gpu) if rates else None,
        memory_utilisation_percent=int(rates.memory) if rates else None,
        sm_active_percent=sm_active,
        tensor_active_percent=tensor_active,
        memory_used_mib=used,
        memory_total_mib=total,
        power_watts=_watts(power if power is not None else fields.get(numbers.FIELD_POWER)),
        energy_mj=_maybe(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle),
        temperature_c=_temperature(handle),
        memory_temperature_c=fields.get(numbers.FIELD_MEMORY_TEMPERATURE),
        sm_clock_mhz=_maybe(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        clock_event_reasons=_clock_reasons(handle),
        performance_state=_maybe(pynvml.nvmlDeviceGetPerformanceState, handle),
        processes=_processes(handle),
        nvml_cost_us=(time.perf_counter_ns() - started) // 1000,
    )


def sample_all(uuids: Iterable[str] | None = None) -> SampleSet:
    """A sample of every device (of the node, where none are named); the silent ones are listed as faults."""
    found, faults = enumerate_uuids() if uuids is None else (tuple(uuids), ())
    samples, broken = _for_each(found, sample)
    return SampleSet(tuple(samples), (*faults, *broken))


def _fabric_state(handle: Any) -> int | None:
    """The NVSwitch fabric's registration state; None where the device has no fabric (state 0) or the driver no word."""
    info = pynvml.c_nvmlGpuFabricInfo_v2_t()
    info.version = pynvml.nvmlGpuFabricInfo_v2
    if _maybe(pynvml.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(info)) is None:
        return None
    return int(info.state) or None


def reading(uuid: str) -> DeviceReading:
    """Every figure that health and handover are judged by. NvmlError where the device does not answer."""
    handle = _handle(uuid)
    fields = _fields(
        handle,
        (
            *numbers.FIELD_ECC,
            numbers.FIELD_RETIRED_PENDING,
            *numbers.FIELD_REMAPS,
            *numbers.FIELD_NVLINK,
            numbers.FIELD_RECOVERY_ACTION,
        ),
    )
    ecc = _maybe(pynvml.nvmlDeviceGetEccMode, handle)
    mig = _maybe(pynvml.nvmlDeviceGetMigMode, handle)
    return DeviceReading(
        uuid=uuid,
        at=datetime.now(UTC),
        memory_used_mib=_memory(handle)[0],
        processes=_processes(handle),
        temperature_c=_temperature(handle),
        clock_event_reasons=_clock_reasons(handle),
        ecc_enabled=_flag(ecc[0]) if ecc else None,
        ecc_sbe_volatile=fields.get(numbers.FIELD_ECC[0]),
        ecc_dbe_volatile=fields.get(numbers.FIELD_ECC[1]),
        ecc_sbe_aggregate=fields.get(numbers.FIELD_ECC[2]),
        ecc_dbe_aggregate=fields.get(numbers.FIELD_ECC[3]),
        remap_correctable=fields.get(numbers.FIELD_REMAPS[0]),
        remap_uncorrectable=fields.get(numbers.FIELD_REMAPS[1]),
        remap_pending=_flag(fields.get(numbers.FIELD_REMAPS[2])),
        remap_failed=_flag(fields.get(numbers.FIELD_REMAPS[3])),
        retired_pending=_flag(fields.get(numbers.FIELD_RETIRED_PENDING)),
        recovery_action=fields.get(numbers.FIELD_RECOVERY_ACTION),
        pcie_generation=_maybe(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        pcie_generation_max=_maybe(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        pcie_width=_maybe(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        pcie_width_max=_maybe(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        nvlinks_down=tuple(link for link, up in enumerate(_link_states(handle)) if not up),
        nvlink_replay=fields.get(numbers.FIELD_NVLINK[0]),
        nvlink_recovery=fields.get(numbers.FIELD_NVLINK[1]),
        fabric_state=_fabric_state(handle),
        persistence_mode=_flag(_maybe(pynvml.nvmlDeviceGetPersistenceMode, handle)),
        mig_enabled=_flag(mig[0]) if mig else None,
    )


def health(uuid: str) -> DeviceHealth:
    """The device's health now. A device that does not answer fails, with NVML's code as the reason; never raises."""
    return checks.health(reading, uuid)


def check_ready(
    uuids: Iterable[str], *, baseline: Baseline | None = None, mig_enabled: bool = False
) -> list[DeviceCheck]:
    """The ladder before a handover: empty, healthy, cool, set right. With a baseline, also no damage since then."""
    ladder = partial(checks.handover_checks, mig_enabled=mig_enabled)
    return [checks.run_ladder(reading, uuid, ladder, baseline) for uuid in uuids]


def check_empty(uuids: Iterable[str], *, baseline: Baseline | None = None) -> list[DeviceCheck]:
    """The ladder after a revocation: nobody on the device, and it is well; it may still be warm."""
    return [checks.run_ladder(reading, uuid, checks.return_checks, baseline) for uuid in uuids]


def set_persistence_mode(uuid: str, on: bool) -> None:
    """Keep the driver loaded for the device. Root only (NvmlError NO_PERMISSION)."""
    call(pynvml.nvmlDeviceSetPersistenceMode, _handle(uuid), int(on))


def set_compute_mode(uuid: str, mode: ComputeMode) -> None:
    """Who may open a context. Root only."""
    number = {name: value for value, name in numbers.COMPUTE_MODES.items()}[mode]
    call(pynvml.nvmlDeviceSetComputeMode, _handle(uuid), number)


def set_power_limit(uuid: str, watts: float | None) -> None:
    """The board's power limit, None for its default. Root only; INVALID_ARGUMENT outside the board's range."""
    handle = _handle(uuid)
    default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit
    limit_mw = call(default, handle) if watts is None else round(watts * 1000)
    call(pynvml.nvmlDeviceSetPowerManagementLimit, handle, limit_mw)


class XidSource:
    """The driver's XID events for some devices. Events before it was made are lost: the kernel log has those.

    Use from one thread. `wait` blocks without holding the interpreter's lock.
    """

    def __init__(self, uuids: Iterable[str]) -> None:
        """Register; devices that do not answer or have no events are left out and listed in `unwatched`."""
        self._names: dict[int, str] = {}
        self.unwatched: list[str] = []
        ensure_started()
        self._events = call(pynvml.nvmlEventSetCreate)
        for uuid in uuids:
            try:
                handle = _handle(uuid)
                wanted = call(pynvml.nvmlDeviceGetSupportedEventTypes, handle) & pynvml.nvmlEventTypeXidCriticalError
                call(pynvml.nvmlDeviceRegisterEvents, handle, wanted, self._events)
                self._names[ctypes.cast(handle, ctypes.c_void_p).value or 0] = uuid
            except NvmlError:
                self.unwatched.append(uuid)

    def wait(self, timeout_ms: int) -> XidEvent | None:
        """The next XID, None where none came in time. NvmlError where the set is of no more use: make a new one."""
        try:
            event = call(pynvml.nvmlEventSetWait_v2, self._events, timeout_ms)
        except NvmlError as error:
            if error.code == "TIMEOUT":
                return None
            raise
        uuid = self._names.get(ctypes.cast(event.device, ctypes.c_void_p).value or 0, "")
        return XidEvent(uuid, int(event.eventData), datetime.now(UTC))

    def close(self) -> None:
        """Free the set."""
        _quietly(pynvml.nvmlEventSetFree, self._events)
