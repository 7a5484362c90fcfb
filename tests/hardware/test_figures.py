"""Each function and field that the agent asks for: what the driver answers, and how long that takes."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import pynvml

from agent import nvml
from agent.nvml import library, numbers
from tests.hardware.conftest import Record

ROUNDS = 60
ASKED = (
    *("GetUtilizationRates", "GetPowerUsage", "GetTotalEnergyConsumption", "GetPerformanceState", "GetUUID"),
    *("GetSerial", "GetName", "GetBoardPartNumber", "GetVbiosVersion", "GetInforomImageVersion", "GetMinorNumber"),
    *("GetMigMode", "GetCudaComputeCapability", "GetArchitecture", "GetNumaNodeId", "GetPersistenceMode"),
    *("GetComputeMode", "GetEccMode", "GetCurrPcieLinkGeneration", "GetMaxPcieLinkGeneration", "GetModuleId"),
    *("GetCurrPcieLinkWidth", "GetMaxPcieLinkWidth", "GetPowerManagementLimit", "GetPowerManagementDefaultLimit"),
    *("GetPowerManagementLimitConstraints", "GetCurrentClocksEventReasons", "GetCurrentClocksThrottleReasons"),
    *("GetComputeRunningProcesses_v3", "GetGraphicsRunningProcesses_v3", "GetMPSComputeRunningProcesses_v3"),
    *("GetSupportedEventTypes", "GetAccountingMode", "GetRemappedRows", "GetRowRemapperHistogram"),
    *("GetEnforcedPowerLimit", "GetMaxMigDeviceCount", "GetBAR1MemoryInfo", "GetIndex"),
    *("GetPciInfo", "GetAutoBoostedClocksEnabled", "GetFanSpeed"),
)
FIELDS = (
    *numbers.SAMPLE_FIELDS,
    *numbers.READING_FIELDS,
    *(29, 30, 32, *range(74, 82), 138, 139, 140, 141, 186, 187, 188, 189, 190, 191, 192, 193),
)
UNION = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}


def _timed(ask: Callable[[], Any]) -> dict[str, Any]:
    took, said = [], None
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        try:
            said = _short(ask())
        except pynvml.NVMLError as error:
            said = library.CODE_NAMES.get(error.value, str(error.value))
        took.append((time.perf_counter_ns() - began) // 1000)
    took.sort()
    return {"answer": said, "p50_us": took[ROUNDS // 2], "p99_us": took[ROUNDS * 99 // 100], "first_to_last": took[-1]}


def _short(answer: Any) -> Any:
    if isinstance(answer, ctypes.Structure):
        return {name: str(getattr(answer, name))[:60] for name, *_ in answer._fields_}
    return answer if isinstance(answer, int | str | float | None) else str(answer)[:200]


def test_the_getters_answer_or_say_that_there_is_no_such_thing(uuid: str, record: Record) -> None:
    handle = library.handle_of(uuid)
    asked = {name: getattr(pynvml, f"nvmlDevice{name}") for name in ASKED}
    answers = {name: _timed(lambda each=each: each(handle)) for name, each in asked.items()}
    answers["GetMemoryInfo_v2"] = _timed(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2))
    answers["GetMemoryInfo_v1"] = _timed(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    answers["GetTemperatureV"] = _timed(lambda: pynvml.nvmlDeviceGetTemperatureV(handle, 0))
    answers["GetTemperature"] = _timed(lambda: pynvml.nvmlDeviceGetTemperature(handle, 0))
    for name, number in (("SM", pynvml.NVML_CLOCK_SM), ("MEM", pynvml.NVML_CLOCK_MEM)):
        answers[f"GetClockInfo_{name}"] = _timed(lambda number=number: pynvml.nvmlDeviceGetClockInfo(handle, number))
    for link in (0, 17, 18):
        answers[f"GetNvLinkState_{link}"] = _timed(lambda link=link: pynvml.nvmlDeviceGetNvLinkState(handle, link))
    answers["GpmQueryDeviceSupport"] = _timed(lambda: pynvml.nvmlGpmQueryDeviceSupport(handle))
    answers["GetFieldValues_sample"] = _timed(
        lambda: len(pynvml.nvmlDeviceGetFieldValues(handle, list(numbers.SAMPLE_FIELDS)))
    )
    answers["GetFieldValues_reading"] = _timed(
        lambda: len(pynvml.nvmlDeviceGetFieldValues(handle, list(numbers.READING_FIELDS)))
    )
    record("getters", answers)
    codes = list(library.CODE_NAMES.values())
    failures = {name: each["answer"] for name, each in answers.items() if each["answer"] in codes}
    record("getters_refused", failures)
    assert set(failures.values()) <= {*numbers.ABSENT, "INVALID_ARGUMENT", "NO_PERMISSION", "DEPRECATED"}


def test_the_fields_answer_each_for_itself(uuid: str, record: Record) -> None:
    found = pynvml.nvmlDeviceGetFieldValues(library.handle_of(uuid), list(FIELDS))
    said = {
        int(each.fieldId): {
            "return": library.CODE_NAMES.get(each.nvmlReturn, "SUCCESS" if each.nvmlReturn == 0 else each.nvmlReturn),
            "type": int(each.valueType),
            "value": getattr(each.value, UNION.get(each.valueType, "ullVal")),
            "latency_us": int(each.latencyUsec),
        }
        for each in found
    }
    record("fields", said)
    assert all(said[each]["return"] == "SUCCESS" for each in (numbers.FIELD_ENERGY, *numbers.FIELD_ECC))


def test_events_can_be_waited_for(uuid: str, record: Record) -> None:
    source = nvml.XidSource([uuid])
    began = time.monotonic()
    try:
        assert source.unwatched == [] and source.wait(300) is None
    finally:
        source.close()
    record("event_wait_of_300_ms", round(time.monotonic() - began, 3))
    assert 0.25 < time.monotonic() - began < 2


def test_a_whole_sample_costs_little(uuid: str, record: Record) -> None:
    costs = sorted(nvml.sample(uuid).nvml_cost_us for _ in range(100))
    readings = []
    for _ in range(30):
        began = time.perf_counter()
        nvml.reading(uuid)
        readings.append(round((time.perf_counter() - began) * 1e6))
    readings.sort()
    record("sample_cost_us", {"p50": costs[50], "p99": costs[99], "most": costs[-1]})
    record("reading_cost_us", {"p50": readings[15], "most": readings[-1]})
    assert costs[99] < 20_000
