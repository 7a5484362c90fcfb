"""One look at a device, cheap enough for every ten seconds; with the interval counters of Hopper and later (GPM)."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import DeviceSample, NvmlError
from agent.nvml import devices, numbers
from agent.nvml.library import at_restart, call, handle_of, maybe, optional, quietly, watts
from agent.nvml.processes import processes

GPM_PATIENCE_SECONDS = 1.0

_gpm_lock = threading.Lock()  # GPM in parallel on several devices has crashed drivers (gpud, gpm.go)
_gpm_samples: dict[str, Any] = {}


def _forget_after_fork() -> None:
    global _gpm_lock
    _gpm_lock = threading.Lock()
    _gpm_samples.clear()


def _free_samples() -> None:
    for kept in _gpm_samples.values():
        quietly(pynvml.nvmlGpmSampleFree, kept)
    _gpm_samples.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
at_restart(_free_samples)


def sample(uuid: str) -> DeviceSample:
    """One look at a device; NvmlError where it does not answer. Safe from one thread per device."""
    started = time.perf_counter_ns()
    handle = handle_of(uuid)
    at = datetime.now(UTC)
    rates = maybe(pynvml.nvmlDeviceGetUtilizationRates, handle)
    fields = devices.fields(handle, numbers.SAMPLE_FIELDS)
    power = fields.get(numbers.FIELD_POWER)
    if power is None:
        power = maybe(pynvml.nvmlDeviceGetPowerUsage, handle)
    energy = fields.get(numbers.FIELD_ENERGY)
    used, total = devices.memory(handle)
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
        power_watts=watts(power),
        energy_mj=maybe(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle) if energy is None else energy,
        temperature_c=devices.temperature(handle),
        memory_temperature_c=fields.get(numbers.FIELD_MEMORY_TEMPERATURE),
        sm_clock_mhz=maybe(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        clock_event_reasons=devices.clock_reasons(handle),
        performance_state=maybe(pynvml.nvmlDeviceGetPerformanceState, handle),
        processes=processes(handle),
        nvml_cost_us=(time.perf_counter_ns() - started) // 1000,
    )


def _gpm(uuid: str, handle: Any) -> tuple[float | None, float | None]:
    """SM and tensor activity in percent since the last call for this device; (None, None) at first or without GPM.

    Where another device's call hangs inside of GPM, this one goes without rather than wait for it.
    """
    if not _gpm_lock.acquire(timeout=GPM_PATIENCE_SECONDS):
        return None, None
    try:
        if uuid not in _gpm_samples and not devices.gpm_supported(handle):
            return None, None
        taken = call(pynvml.nvmlGpmSampleAlloc)
        try:
            call(pynvml.nvmlGpmSampleGet, handle, taken)
        except NvmlError:
            quietly(pynvml.nvmlGpmSampleFree, taken)
            raise
        previous = _gpm_samples.pop(uuid, None)
        _gpm_samples[uuid] = taken
        if previous is None:
            return None, None
        try:
            return _gpm_between(previous, taken)
        finally:
            quietly(pynvml.nvmlGpmSampleFree, previous)
    finally:
        _gpm_lock.release()


def _gpm_between(previous: Any, taken: Any) -> tuple[float | None, float | None]:
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.sample1, request.sample2 = previous, taken
    wanted = (numbers.GPM_SM, numbers.GPM_TENSOR)
    request.numMetrics = len(wanted)
    for place, number in enumerate(wanted):
        request.metrics[place].metricId = number
    call(pynvml.nvmlGpmMetricsGet, request)
    got = [request.metrics[place] for place in range(len(wanted))]
    sm, tensor = (round(float(each.value), 2) if each.nvmlReturn == 0 else None for each in got)
    return sm, tensor
