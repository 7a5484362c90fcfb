"""What every fault does to a device, and what ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import faults, kernel_log, workloads
from simulator.node import SimNode
from simulator.recovery import ResetRefused
from tests.simulator.nodes import ROOT, SimulatedNode, wait_until
from tests.simulator.test_node import START, make
from tests.simulator.test_shim import ask

ARGUMENTS = {
    "xid": {"code": 13},
    "nvml_hang": {"seconds": 1.0},
    "nvml_slow": {"seconds": 1.0},
    "nvml_error": {"code": 999},
    "missing_symbol": {"call": "nvmlDeviceGetTemperatureV"},
    "zombie_mem": {"memory_mib": 1000},
    "recovery_action": {"code": 2},
}


def log_of(node: SimNode) -> list[str]:
    path = kernel_log.path_of(node.state.path)
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    ("number", "action", "counter"),
    [
        (13, 0, {}),
        (31, 0, {}),
        (43, 0, {}),
        (48, 1, {"ecc_dbe_volatile": 1, "ecc_dbe_aggregate": 1}),
        (63, 1, {"remap_pending": 1, "remap_uncorrectable": 1}),
        (64, 1, {"remap_failure": 1}),
        (74, 0, {"nvlink_down_mask": 1}),
        (79, 0, {"lost": 1}),
        (94, 4, {"ecc_dbe_volatile": 1}),
        (95, 1, {"ecc_dbe_volatile": 1}),
        (119, 1, {}),
        (154, 1, {}),
    ],
)
def test_an_xid_brings_its_condition_and_its_log_line(
    tmp_path: Path, number: int, action: int, counter: dict[str, int]
) -> None:
    node = make(tmp_path / "state")
    node.tick(START + 5)
    node.inject("xid", gpu=0, code=number)
    device, other = node.state.view.devices[0], node.state.view.devices[1]
    assert device.recovery_action == action
    for name in ("ecc_dbe_volatile", "remap_pending", "remap_failure", "nvlink_down_mask", "lost"):
        assert getattr(device, name) == counter.get(name, 0), name
        assert getattr(other, name) == 0
    (line,) = log_of(node)
    assert line.startswith(f"3,0,5000000,-;NVRM: Xid (PCI:0000:1b:00): {number}, ")


def test_xid_154_carries_its_action_and_names_it(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.inject("xid", gpu=1, code=154, action=2)
    assert node.state.view.devices[1].recovery_action == 2
    assert log_of(node)[0].endswith("changed from 0x0 (None) to 0x2 (Node Reboot Required)")


def test_the_log_names_the_process_on_the_device(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 100)
    node.inject("xid", gpu=0, code=31)
    assert f"pid={os.getpid()}, name=" in log_of(node)[0]


def test_a_storm_of_corrected_errors_rises_with_the_clock_and_gives_xid_92(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.inject("ecc_sbe_storm", gpu=0, code=50)
    device = node.state.view.devices[0]
    node.tick(START + 10)
    assert device.ecc_sbe_volatile == device.ecc_sbe_aggregate == 500
    node.tick(START + 70)
    assert device.ecc_sbe_volatile == 3500
    assert [line.split("): ")[1].split(",")[0] for line in log_of(node)] == ["92"]
    node.clear("ecc_sbe_storm")
    node.tick(START + 80)
    assert device.ecc_sbe_volatile == 3500
    assert node.state.view.devices[1].ecc_sbe_volatile == 0


def test_a_slow_trickle_of_corrected_errors_gives_no_xid(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.inject("ecc_sbe_storm", gpu=0, code=1)
    node.tick(START + 200)
    assert (node.state.view.devices[0].ecc_sbe_volatile, log_of(node)) == (200, [])


def test_a_power_brake_halves_the_clocks_and_says_so(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 100)
    node.tick(START + 5)
    device = node.state.view.devices[0]
    before = device.power_mw
    node.inject("power_brake", gpu=0)
    node.tick(START + 6)
    assert device.clock_event_reasons & 0x88 == 0x88 and not device.clock_event_reasons & 0x40
    assert device.sm_clock == node.profile.sm_clock_mhz // 2 and device.power_mw < before
    assert device.violation_brake_ns == 10**9
    node.clear()
    assert not device.clock_event_reasons & 0x88


def test_a_narrow_link_and_link_errors(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.inject("pcie_width", gpu=0, code=4)
    node.inject("nvlink_errors", gpu=0, code=100)
    node.tick(START + 10)
    device = node.state.view.devices[0]
    assert (device.pcie_width, device.pcie_width_max, node.state.view.devices[1].pcie_width) == (4, 16, 16)
    assert (device.nvlink_crc_flit, device.nvlink_replay) == (1000, 500)
    assert (device.nvlink_crc_data, device.nvlink_recovery) == (100, 10)
    node.clear()
    assert device.pcie_width == 16


def test_a_reset_mends_what_a_reset_mends(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    for kind in ("ecc_dbe", "remap_pending", "remap_failed", "nvlink_down"):
        node.inject(kind)  # on all devices
    node.inject("recovery_action", gpu=0, code=1)
    node.inject("zombie_mem", gpu=0, memory_mib=500)
    device, other = node.state.view.devices[0], node.state.view.devices[1]
    node.reset(0)
    assert (device.ecc_dbe_volatile, device.ecc_dbe_aggregate) == (0, 1)
    assert (device.remap_pending, device.remap_failure, device.nvlink_down_mask, device.zombie_bytes) == (0, 1, 0, 0)
    assert (other.ecc_dbe_volatile, other.remap_pending, other.nvlink_down_mask) == (1, 1, 1)
    node.inject("recovery_action", gpu=0, code=2)
    node.reset(0)
    assert device.recovery_action == 2


def test_a_reset_is_refused_while_in_use_and_when_lost(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 100)
    with pytest.raises(ResetRefused, match="in use"):
        node.reset(0)
    node.inject("gpu_lost", gpu=1)
    with pytest.raises(ResetRefused, match="lost"):
        node.reset(1)
    with pytest.raises(ValueError):
        node.reset(44)


def test_a_reboot_brings_lost_devices_back_and_drops_processes(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.bind(os.getpid(), [0], 100)
    for kind in ("gpu_lost", "ecc_dbe", "remap_failed", "lib_rm_mismatch"):
        node.inject(kind)
    node.inject("recovery_action", gpu=2, code=2)
    assert log_of(node)
    assert node.reboot() == [os.getpid()]
    device = node.state.view.devices[2]
    assert (device.lost, device.ecc_dbe_volatile, device.ecc_dbe_aggregate, device.remap_failure) == (0, 0, 1, 1)
    assert (device.recovery_action, device.persistence_mode) == (1, 0)
    assert node.processes() == []
    assert log_of(node) == []
    assert {fault["kind"] for fault in faults.listing(node.state.view)} == {"remap_failed"}


def test_a_stubborn_job_ignores_sigterm_and_dies_by_sigkill(node: SimulatedNode) -> None:
    command = [sys.executable, "-m", "simulator", "run", "--state", str(node.state), "--gpu", "0", "--mem", "100"]
    job = subprocess.Popen([*command, "--stubborn", "--", "sleep", "600"], env=node.env, cwd=ROOT)
    node.jobs.append(job)  # type: ignore[arg-type]
    wait_until(node.brain.processes)
    (process,) = node.brain.processes()
    ignored = int(Path(f"/proc/{process.pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
    assert ignored >> (signal.SIGTERM - 1) & 1
    os.kill(process.pid, signal.SIGTERM)
    assert [each.pid for each in node.brain.processes()] == [process.pid]
    os.kill(process.pid, signal.SIGKILL)
    assert job.wait(timeout=20) == 128 + signal.SIGKILL


def test_a_stuck_process_stays_on_its_device_after_sigkill_until_the_reboot(node: SimulatedNode) -> None:
    job = node.run(["sleep", "600"], gpus=[0], memory_mib=5_000)
    pid = node.job_pid(job)
    node.fault("stuck_process", gpu=0)
    os.kill(pid, signal.SIGKILL)
    job.wait(timeout=20)
    shown = "print([x.pid for x in p.nvmlDeviceGetComputeRunningProcesses(h)], "
    shown += "p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2).used >> 20)"
    assert ask(node, shown) == f"[{pid}] 5000"
    with pytest.raises(ResetRefused):
        node.brain.reset(0)
    node.brain.reboot()
    assert ask(node, shown) == "[] 0"


def test_a_slow_call_takes_its_time_each_time_and_lets_others_run(node: SimulatedNode) -> None:
    node.fault("nvml_slow", call="nvmlDeviceGetPowerUsage", seconds=0.3)
    ask(
        node,
        """
        import threading, time
        start, ticks = time.monotonic(), []
        thread = threading.Thread(target=lambda: [p.nvmlDeviceGetPowerUsage(h) for _ in range(2)])
        thread.start()
        while thread.is_alive(): ticks.append(1)
        assert time.monotonic() - start >= 0.6 and len(ticks) > 1000
        """,
    )


def day(path: Path, kind: str, workload: str, seed: int) -> bytes:
    node = make(path, seed=seed)
    node.bind(os.getpid(), [0, 1], 100, workload)
    node.inject(kind, gpu=0, **ARGUMENTS.get(kind, {}))
    for second in range(0, 90, 9):
        node.tick(START + second)
    return bytes(node.state.view.devices[0]) + bytes(node.state.view.devices[1])


@pytest.mark.parametrize("kind", faults.KINDS)
@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_every_fault_under_every_workload_is_the_same_twice(tmp_path: Path, kind: str, workload: str) -> None:
    assert day(tmp_path / "a", kind, workload, 7) == day(tmp_path / "b", kind, workload, 7)
