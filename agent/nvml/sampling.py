"""One look at a device, cheap enough for every ten seconds; with the interval counters of Hopper and later (GPM)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pynvml  # type: ignore[import-untyped, unused-ignore]

from agent.device_records import DeviceSample, NvmlError, is_mig
from agent.nvml import devices, numbers
from agent.nvml.library import at_restart, call, handle_of, maybe, optional, quietly, watts
from agent.nvml.processes import processes

GPM_PATIENCE_SECONDS = 1.0
Activity = tuple[float | None, float | None, float | None]
"""Per cent of the interval: graphics or compute, SMs, tensor cores."""
_NOTHING: Activity = (None, None, None)

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
    return _instance(uuid) if is_mig(uuid) else _whole(uuid)


def _instance(uuid: str) -> DeviceSample:
    """One look at a MIG device: what is its own. Power, heat and clocks are its GPU's, and so its neighbours', too."""
    started = time.perf_counter_ns()
    handle, at = handle_of(uuid), datetime.now(UTC)
    gpu = call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle)
    number = int(call(pynvml.nvmlDeviceGetGpuInstanceId, handle))
    used, total = devices.memory(handle)
    take = partial(call, pynvml.nvmlGpmMigSampleGet, gpu, number)
    busy, sm_active, tensor_active = optional(lambda: _gpm(uuid, gpu, take)) or _NOTHING
    return DeviceSample(
        uuid=uuid,
        at=at,
        utilisation_percent=None if busy is None else round(busy),  # NVML's own rates are not to be had under MIG
        memory_utilisation_percent=None,
        sm_active_percent=sm_active,
        tensor_active_percent=tensor_active,
        memory_used_mib=used,
        memory_total_mib=total,
        power_watts=None,
        energy_mj=None,
        temperature_c=None,
        memory_temperature_c=None,
        sm_clock_mhz=None,
        clock_event_reasons=None,
        performance_state=None,
        processes=processes(handle),
        nvml_cost_us=(time.perf_counter_ns() - started) // 1000,
    )


def _whole(uuid: str) -> DeviceSample:
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
    take = partial(call, pynvml.nvmlGpmSampleGet, handle)
    _busy, sm_active, tensor_active = optional(lambda: _gpm(uuid, handle, take)) or _NOTHING
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


def _gpm(uuid: str, handle: Any, take: Callable[[Any], Any]) -> Activity:
    """How busy a device, its SMs and its tensor cores were since the last call for it; nothing at first or without GPM.

    `take` fills a sample; `handle` is of the whole GPU.

    Where another device's call hangs inside of GPM, this one goes without rather than wait for it.
    """
    if not _gpm_lock.acquire(timeout=GPM_PATIENCE_SECONDS):
        return _NOTHING
    try:
        if uuid not in _gpm_samples and not devices.gpm_supported(handle):
            return _NOTHING
        taken = call(pynvml.nvmlGpmSampleAlloc)
        try:
            take(taken)
        except NvmlError:
            quietly(pynvml.nvmlGpmSampleFree, taken)
            raise
        previous = _gpm_samples.pop(uuid, None)
        _gpm_samples[uuid] = taken
        if previous is None:
            return _NOTHING
        try:
            return _gpm_between(previous, taken)
        finally:
            quietly(pynvml.nvmlGpmSampleFree, previous)
    finally:
        _gpm_lock.release()


def _gpm_between(previous: Any, taken: Any) -> Activity:
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.sample1, request.sample2 = previous, taken
    wanted = (numbers.GPM_GRAPHICS, numbers.GPM_SM, numbers.GPM_TENSOR)
    request.numMetrics = len(wanted)
    for place, number in enumerate(wanted):
        request.metrics[place].metricId = number
    call(pynvml.nvmlGpmMetricsGet, request)
    got = [request.metrics[place] for place in range(len(wanted))]
    busy, sm, tensor = (round(float(each.value), 2) if each.nvmlReturn == 0 else None for each in got)
    return busy, sm, tensor
