"""The figures under work that is known: nothing, an open context, memory parked, one SM, a copy, everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from agent import nvml
from tests.hardware.conftest import Record
from tests.hardware.target import FULL, Target, wait_until

SECONDS = 6.0
PARKED_MIB = 20_000
SPEEDS = ("spin", "trickle")
Watch = Callable[..., dict[str, Any]]


def test_nothing_on_the_device(watch: Watch, record: Record) -> None:
    seen = watch(8.0)
    record("work_nothing", seen)
    assert seen["processes"] == [] and seen["utilisation_percent"][2] == 0 and seen["memory_used_mib"][2] < 1024


@pytest.mark.parametrize("kind, mib", [("context", 0), ("parked", PARKED_MIB)])
def test_a_program_that_only_stands_there(
    target: Target, watch: Watch, record: Record, uuid: str, kind: str, mib: int
) -> None:
    with target.work(kind, 60, mib) as work:
        time.sleep(1.5)
        seen = watch(SECONDS)
        record(f"work_{kind}", seen)
        assert [each["pid"] for each in seen["processes"]] == [work.pid]
        assert mib <= seen["processes"][0]["memory_mib"] <= seen["memory_used_mib"][2] < mib + 2048
        assert seen["utilisation_percent"][1] == 0 and (seen["sm_active_percent"] or [0, 0])[1] < 1
        (check,) = nvml.check_ready([uuid])
        failed = {each.code for each in check.checks if not each.passed}
        assert "no_processes" in failed and (mib < 1024) == ("memory_empty" not in failed)
    wait_until(lambda: not nvml.processes_on([uuid])[uuid])


@pytest.mark.parametrize("kind", SPEEDS)
def test_one_thread_that_runs(target: Target, watch: Watch, record: Record, kind: str) -> None:
    with target.work(kind, 60):
        time.sleep(1.5)
        seen = watch(SECONDS)
    record(f"work_{kind}", seen)
    assert seen["processes"]
    if kind == "spin":
        assert seen["utilisation_percent"][1] == 100
        assert seen["sm_active_percent"] is None or seen["sm_active_percent"][1] < 2


def test_memory_copied_within_the_device(target: Target, watch: Watch, record: Record) -> None:
    with target.work("copy", 60, 4096):
        time.sleep(1.5)
        seen = watch(SECONDS)
    record("work_copy", seen)
    assert seen["utilisation_percent"][1] > 20


def test_everything_at_full(target: Target, watch: Watch, record: Record, uuid: str) -> None:
    facts = nvml.device_facts(uuid)
    with target.work(FULL, 30):
        time.sleep(2.5)
        seen = watch(8.0)
    record("work_full", seen)
    assert seen["utilisation_percent"][1] >= 90 and seen["energy_rises"]
    assert seen["power_watts"][1] > 0.5 * (facts.power_limit_watts or 0)
    if facts.gpm_supported:
        assert seen["sm_active_percent"][1] > 50 and seen["tensor_active_percent"][1] > 20
    if target.real:
        assert seen["counter_watts"] == pytest.approx(seen["seen_watts"], rel=0.1)


def test_after_work_the_device_cools_down_to_what_it_was(watch: Watch, record: Record) -> None:
    record("work_after_1_s", watch(1.0))
    time.sleep(3)
    record("work_after_5_s", watch(2.0))


def test_a_program_that_was_killed_leaves_nothing(target: Target, record: Record, uuid: str) -> None:
    with target.work("parked", 60, PARKED_MIB) as work:
        assert nvml.sample(uuid).memory_used_mib >= PARKED_MIB
        work.kill()
        gone = wait_until(lambda: not nvml.processes_on([uuid])[uuid])
        empty = gone + wait_until(lambda: nvml.reading(uuid).memory_used_mib < 1024)
    record("killed", {"process_gone_seconds": round(gone, 3), "memory_empty_seconds": round(empty, 3)})
    (check,) = nvml.check_empty([uuid])
    assert {"no_processes", "memory_empty"} <= {each.code for each in check.checks if each.passed}


def test_the_ladder_before_a_handover(record: Record, uuid: str) -> None:
    (check,) = nvml.check_ready([uuid])
    record("ladder", [vars(each) for each in check.checks])
    record("health", nvml.health(uuid))
    failed = {each.code for each in check.checks if not each.passed}
    assert failed <= {"persistence_mode", "temperature", "nvlinks_down", "fabric_state"}, failed
