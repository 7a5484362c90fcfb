"""The brain alone, in a clock of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from simulator import profiles, workloads
from simulator.node import DeviceBusy, OutOfMemory, SimNode
from simulator.state import StateError
from tests.simulator.nodes import start_node

START = 1_700_000_000.0


def make(path: Path, profile: str = "h100_sxm_8", seed: int = 1) -> SimNode:
    return SimNode.create(path, profile, now=START, seed=seed)


def watch(path: Path, seed: int) -> list[tuple[int, int, int, int]]:
    node = make(path, seed=seed)
    node.bind(os.getpid(), [0], 70_000, "inference")
    device = node.state.view.devices[0]
    seen = []
    for second in range(30):
        node.tick(START + second)
        seen.append((device.util_gpu, device.power_mw, device.temperature_c, device.energy_mj))
    return seen


def test_the_same_seed_and_clock_give_the_same_day(tmp_path: Path) -> None:
    assert watch(tmp_path / "a", 5) == watch(tmp_path / "b", 5)
    assert watch(tmp_path / "c", 5) != watch(tmp_path / "d", 6)


@pytest.mark.parametrize("profile", profiles.names())
def test_every_profile_makes_a_node_that_idles_at_its_idle_power(tmp_path: Path, profile: str) -> None:
    node = make(tmp_path / "state", profile)
    node.tick(START + 100)
    for index in range(node.device_count):
        device = node.state.view.devices[index]
        assert device.power_mw == node.profile.idle_watts * 1000
        assert device.util_gpu == 0
    assert len(set(node.uuids)) == node.device_count


def test_pretraining_is_busy_near_the_limit_and_dips_for_checkpoints(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 70_000, "pretrain")
    device = node.state.view.devices[0]
    powers = []
    for minute in range(120):
        node.tick(START + 30 * minute)
        powers.append(device.power_mw / 1000)
    busy = [watts for watts in powers if watts > 600]
    assert len(busy) > 0.75 * len(powers)
    assert min(powers) < 300
    assert max(powers) <= 700


def test_a_hung_job_is_fully_utilised_and_does_nothing(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 70_000, "hung")
    node.tick(START + 10)
    device = node.state.view.devices[0]
    assert device.util_gpu == 100
    assert device.now_sm < 1
    assert device.now_tensor == 0
    assert device.power_mw < 0.35 * device.power_limit_mw


@pytest.mark.parametrize("profile, context_watts", [("h100_sxm_8", 46), ("h200_sxm_8", 41)])
def test_an_open_context_alone_keeps_the_clocks_up_and_draws_more_than_an_empty_device(
    tmp_path: Path, profile: str, context_watts: int
) -> None:
    """As the cards do: an H200 draws 79 W with nobody on it, 120 W with a program that sleeps, whatever that holds."""
    node = make(tmp_path / "state", profile)
    device = node.state.view.devices[0]
    node.bind(os.getpid(), [0], 20_000, "idle")
    node.tick(START + 10)
    assert device.power_mw == (node.profile.idle_watts + context_watts) * 1000
    assert (device.util_gpu, device.now_sm, device.sm_clock) == (0, 0, node.profile.sm_clock_mhz)
    node.unbind(os.getpid())
    node.tick(START + 20)
    assert (device.power_mw, device.sm_clock) == (node.profile.idle_watts * 1000, 345)


def test_a_lower_power_limit_caps_power_and_clocks(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 70_000, "pretrain")
    device = node.state.view.devices[0]
    device.power_limit_mw = 400_000
    node.tick(START + 10)
    assert device.power_mw == 400_000
    assert device.clock_event_reasons & 0x4
    assert device.sm_clock < node.profile.sm_clock_mhz


def test_memory_cannot_be_promised_twice(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 70_000)
    with pytest.raises(OutOfMemory):
        node.bind(os.getpid(), [0], 70_000)


def test_an_exclusive_device_admits_one_process(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.state.view.devices[0].compute_mode = 3
    node.bind(os.getpid(), [0], 1_000)
    with pytest.raises(DeviceBusy):
        node.bind(os.getpid(), [0], 1_000)


def test_a_dead_process_frees_its_memory_and_its_load(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    child = subprocess.Popen(["sleep", "60"])
    node.bind(child.pid, [0, 1], 1_000)
    node.tick(START + 5)
    assert [process.gpu for process in node.processes()] == [0, 1]
    child.kill()  # not reaped yet: a zombie holds nothing on a device
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    node.tick(START + 6)
    assert node.processes() == []
    assert node.state.view.devices[0].util_gpu == 0
    child.wait()


@pytest.mark.parametrize(
    ("gpus", "memory", "workload"),
    [([9], 1, "idle"), ([0, 0], 1, "idle"), ([], 1, "idle"), ([0], -1, "idle"), ([0], 1, "x")],
)
def test_nonsense_is_refused(tmp_path: Path, gpus: list[int], memory: int, workload: str) -> None:
    with pytest.raises(ValueError):
        make(tmp_path / "state").bind(os.getpid(), gpus, memory, workload)


def test_energy_does_not_jump_over_a_time_nobody_ticked(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.tick(START + 10)
    before = node.state.view.devices[0].energy_mj
    node.resume(START + 10_000)
    assert node.state.view.devices[0].energy_mj == before
    assert before == 72_000 * 10


def test_a_foreign_file_is_no_node(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"hello")
    with pytest.raises(StateError, match="not a state file"):
        SimNode.open(tmp_path / "state")
    with pytest.raises(StateError, match="cannot open"):
        SimNode.open(tmp_path / "nothing")


@pytest.mark.parametrize("kind", workloads.WORKLOADS)
def test_every_workload_stays_within_bounds(kind: str) -> None:
    for second in range(0, 7200, 7):
        load = workloads.MODELS[kind](99, second)
        assert 0 <= load.utilisation <= 100
        assert 0 <= load.tensor <= load.sm + 1 <= 101
        assert 0 <= load.power_share <= 1


def test_a_served_node_has_a_kernel_log_before_anything_is_written_to_it(tmp_path: Path) -> None:
    node = start_node(tmp_path, count=1)
    try:
        assert Path(node.env["AGENT_KERNEL_LOG"]).read_text() == ""
    finally:
        node.stop()
