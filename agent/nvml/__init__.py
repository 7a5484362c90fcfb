"""NVIDIA's management library as the agent uses it: the only package of the project that imports pynvml.

Everything goes by UUID and comes back as frozen dataclasses; every failure is a `NvmlError` with NVML's code name. What
is exported here stands under a watchdog: each device is asked in a thread of its own, and one that hangs is a failure
(`STALLED`) of that device alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent import device_checks as checks
from agent.device_checks import Baseline
from agent.device_records import (
    Check,
    ComputeMode,
    DeviceCheck,
    DeviceFacts,
    DeviceFault,
    DeviceHealth,
    DeviceProcess,
    DeviceReading,
    DeviceSample,
    Inventory,
    Layout,
    MigInstance,
    MigPlace,
    NodeFacts,
    SampleSet,
    Setting,
    SettingValue,
    is_mig,
)
from agent.device_records import NvmlError as NvmlError
from agent.nvml import devices, library, mig, sampling, settings
from agent.nvml.events import XidSource as XidSource
from agent.nvml.library import Cost as Cost
from agent.nvml.library import cost as cost
from agent.nvml.library import inside
from agent.nvml.library import use_library as use_library
from agent.watchdog import Stalled, Watchdog

PATIENCE_SECONDS = 5.0  # the first call of a process may have to start the driver
SAMPLE_PATIENCE_SECONDS = 3.0
PARTITION_PATIENCE_SECONDS = 60.0  # switching MIG takes a device away from the driver and brings it back
NODE = "node"
STALLED = "STALLED"

_watchdog = Watchdog()
os.register_at_fork(after_in_child=_watchdog.forget)


@dataclass(frozen=True)
class Silence:
    """A device (or the node's own calls: `uuid` None) that has not answered for so long, and the call that hangs."""

    uuid: str | None
    seconds: float
    call: str


def silences() -> list[Silence]:
    """What does not answer now."""
    return [
        Silence(None if stall.subject.startswith(NODE) else stall.subject, stall.seconds, inside.get(stall.thread, ""))
        for stall in _watchdog.stalls()
    ]


def _ask(questions: Mapping[str, Callable[[], Any]], patience_seconds: float) -> dict[str, Any]:
    """{subject: answer, or a NvmlError in its place}. Other exceptions are raised: they are our own mistakes."""
    answers = _watchdog.ask(questions, patience_seconds)
    for subject, answer in answers.items():
        if isinstance(answer, Stalled):
            answers[subject] = NvmlError(STALLED, inside.get(answer.stall.thread, "") or "nvml")
        elif isinstance(answer, BaseException) and not isinstance(answer, NvmlError):
            raise answer
    return answers


def _one(subject: str, ask: Callable[[], Any], patience_seconds: float = PATIENCE_SECONDS) -> Any:
    answer = _ask({subject: ask}, patience_seconds)[subject]
    if isinstance(answer, NvmlError):
        raise answer
    return answer


def _for_each(
    uuids: Iterable[str], ask: Callable[[str], Any], patience_seconds: float = PATIENCE_SECONDS
) -> tuple[list[Any], list[DeviceFault]]:
    answers = _ask({uuid: partial(ask, uuid) for uuid in uuids}, patience_seconds)
    faults = [DeviceFault(None, uuid, each.code) for uuid, each in answers.items() if isinstance(each, NvmlError)]
    return [each for each in answers.values() if not isinstance(each, NvmlError)], faults


def restart() -> None:
    """Start the library anew with the next call. NvmlError STALLED where it cannot even be shut down."""
    _one(NODE, library.restart)


def node_facts() -> NodeFacts:
    """The node's driver and how many devices NVML counts."""
    facts: NodeFacts = _one(NODE, devices.node_facts)
    return facts


def enumerate_uuids() -> tuple[tuple[str, ...], tuple[DeviceFault, ...]]:
    """The UUIDs of the devices that answer, and the faults of those that do not: one lost device hides no other."""
    count = _one(NODE, devices.device_count)
    places = {f"{NODE} index {index}": partial(devices.uuid_at, index) for index in range(count)}
    answers = list(_ask(places, PATIENCE_SECONDS).values())
    faults = [DeviceFault(at, None, each.code) for at, each in enumerate(answers) if isinstance(each, NvmlError)]
    return tuple(each for each in answers if isinstance(each, str)), tuple(faults)


def inventory() -> Inventory:
    """Everything about the node that is worth telling at the start and every ten minutes."""
    node = node_facts()
    uuids, faults = enumerate_uuids()
    found, broken = _for_each(uuids, devices.device_facts)
    return Inventory(node, tuple(found), (*faults, *broken))


def topology(uuids: Iterable[str]) -> dict[str, dict[str, str]]:
    """{UUID: {other UUID: NODE, SYS, …}}; devices that do not answer are left out."""
    named = tuple(uuids)
    answers = _ask({uuid: partial(devices.topology_of, uuid, named) for uuid in named}, PATIENCE_SECONDS)
    return {uuid: each for uuid, each in answers.items() if not isinstance(each, NvmlError)}


def device_facts(uuid: str) -> DeviceFacts:
    """What does not change while the device works. NvmlError where it does not answer."""
    facts: DeviceFacts = _one(uuid, partial(devices.device_facts, uuid))
    return facts


def sample(uuid: str) -> DeviceSample:
    """One look at a device; NvmlError where it does not answer."""
    seen: DeviceSample = _one(uuid, partial(sampling.sample, uuid), SAMPLE_PATIENCE_SECONDS)
    return seen


def sample_all(uuids: Iterable[str] | None = None) -> SampleSet:
    """A sample of every device (of the node, where none are named); the silent ones are listed as faults."""
    found, faults = enumerate_uuids() if uuids is None else (tuple(uuids), ())
    samples, broken = _for_each(found, sampling.sample, SAMPLE_PATIENCE_SECONDS)
    return SampleSet(tuple(samples), (*faults, *broken))


def processes_on(uuids: Iterable[str]) -> dict[str, tuple[DeviceProcess, ...]]:
    """Who is on each device. NvmlError as soon as one does not answer: silence must not read as empty."""
    answers = _ask({uuid: partial(devices.processes_of, uuid) for uuid in uuids}, PATIENCE_SECONDS)
    for answer in answers.values():
        if isinstance(answer, NvmlError):
            raise answer
    return answers


def reading(uuid: str) -> DeviceReading:
    """Every figure that health and handover are judged by. NvmlError where the device does not answer."""
    seen: DeviceReading = _one(uuid, partial(devices.reading, uuid))
    return seen


def health(uuid: str) -> DeviceHealth:
    """The device's health now. A device that does not answer fails, with NVML's code as the reason; never raises."""
    return healths([uuid])[0]


def healths(uuids: Iterable[str], patience_seconds: float = SAMPLE_PATIENCE_SECONDS) -> list[DeviceHealth]:
    """The health of each device, in their order; never raises."""
    answers = _ask({uuid: partial(devices.reading, uuid) for uuid in uuids}, patience_seconds)
    return [
        DeviceHealth(uuid, "fail", (each.code.lower(),)) if isinstance(each, NvmlError) else checks.judge(each)
        for uuid, each in answers.items()
    ]


def check_ready(uuids: Iterable[str], *, baseline: Baseline | None = None) -> list[DeviceCheck]:
    """The ladder before a handover: empty, healthy, cool, set right. With a baseline, also no damage since then.

    A MIG device stands where MIG is on and neighbours may be at work; a whole one where it is off.
    """
    return _climb(uuids, lambda reading: checks.handover_checks(reading, mig_enabled=is_mig(reading.uuid)), baseline)


def check_empty(uuids: Iterable[str], *, baseline: Baseline | None = None) -> list[DeviceCheck]:
    """The ladder after a revocation: nobody on the device, and it is well; it may still be warm."""
    return _climb(uuids, checks.return_checks, baseline)


def _climb(
    uuids: Iterable[str], ladder: Callable[[DeviceReading], list[Check]], baseline: Baseline | None
) -> list[DeviceCheck]:
    answers = _ask({uuid: partial(devices.reading, uuid) for uuid in uuids}, PATIENCE_SECONDS)
    return [checks.run_ladder(uuid, answer, ladder, baseline) for uuid, answer in answers.items()]


def set_persistence_mode(uuid: str, on: bool) -> None:
    """Keep the driver loaded for the device. Root only (NvmlError NO_PERMISSION)."""
    _one(uuid, partial(settings.set_persistence_mode, uuid, on))


def set_compute_mode(uuid: str, mode: ComputeMode) -> None:
    """Who may open a context. Root only."""
    _one(uuid, partial(settings.set_compute_mode, uuid, mode))


def set_power_limit(uuid: str, watts: float | None) -> None:
    """The board's power limit, None for its default. Root only; INVALID_ARGUMENT outside the board's range."""
    _one(uuid, partial(settings.set_power_limit, uuid, watts))


def set_device(uuid: str, setting: Setting, value: SettingValue) -> None:
    """One setting by its name, see SettingValue. Root only; INVALID_ARGUMENT where the value is none of it."""
    _one(uuid, partial(settings.set_device, uuid, setting, value))


def minor_of(uuid: str) -> int:
    """The N of the device's /dev/nvidiaN. NvmlError where it does not answer."""
    minor: int = _one(uuid, partial(devices.minor_of, uuid))
    return minor


def mig_place(uuid: str) -> MigPlace:
    """Where a MIG device is. NvmlError NOT_FOUND where there is none of this UUID."""
    place: MigPlace = _one(uuid, partial(mig.place_of, uuid))
    return place


def plan_layout(uuid: str, layout: Layout) -> mig.Plan:
    """What is missing to a layout; see agent.nvml.mig.plan. Changes nothing. Root only."""
    plan: mig.Plan = _one(uuid, partial(mig.plan, uuid, layout))
    return plan


def instances_going(uuid: str, plan: mig.Plan) -> tuple[MigInstance, ...]:
    """The MIG devices that a plan takes away."""
    there: tuple[MigInstance, ...] = _one(uuid, partial(mig.instances_of, uuid))
    going = {each.id for each in plan.going}
    return tuple(each for each in there if each.gpu_instance in going)


def partition(uuid: str, plan: mig.Plan) -> tuple[MigInstance, ...]:
    """Carry out a plan; the MIG devices that there are then, with their places. Root only; see mig.carry_out."""
    _one(uuid, partial(mig.carry_out, uuid, plan), PARTITION_PATIENCE_SECONDS)
    placed: tuple[MigInstance, ...] = _one(uuid, partial(mig.placed_instances, uuid))
    return placed
