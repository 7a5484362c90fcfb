"""Every fault: what NVML and the kernel's log then show, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.kernel_log import KernelLog
from simulator.kernel_log import path_of
from simulator.node import DeviceBusy, SimNode
from tests.simulator.nodes import ROOT, SimulatedNode, wait_until
from tests.simulator.test_shim import ask


@pytest.mark.parametrize(
    ("xid", "field", "value"),
    [
        *((13, 230, 0), (31, 230, 0), (43, 230, 0), (48, 4, 1), (48, 230, 1), (63, 144, 1), (64, 145, 1)),
        *((94, 144, 1), (95, 230, 1), (119, 230, 1), (154, 230, 2)),
    ],
)
def test_an_xid_comes_with_what_the_driver_shows_then(node: SimulatedNode, xid: int, field: int, value: int) -> None:
    node.fault("xid", gpu=1, code=xid, action=2)
    ask(
        node,
        f"""
        h = p.nvmlDeviceGetHandleByIndex(1)
        v = p.nvmlDeviceGetFieldValues(h, [{field}])[0].value
        assert max(v.uiVal, v.ullVal) == {value}, (v.uiVal, v.ullVal)
        """,
    )
    (line,) = KernelLog(path_of(node.state)).read()
    assert line.xid == xid and line.pci == "0000:43:00" and abs(line.at - time.time()) < 30


def test_an_nvlink_xid_takes_a_link_down(node: SimulatedNode) -> None:
    node.fault("xid", gpu=0, code=74)
    ask(node, "assert [p.nvmlDeviceGetNvLinkState(h, n) for n in range(3)] == [0, 1, 1]")


def test_the_power_brake_halves_the_clocks_and_says_why(node: SimulatedNode) -> None:
    node.run(["sleep", "60"], gpus=[0], memory_mib=1000)
    node.fault("power_brake", gpu=0)
    ask(
        node,
        """
        reasons = p.nvmlDeviceGetCurrentClocksEventReasons(h)
        assert reasons & 0x80 and reasons & 0x08 and not reasons & 0x40
        assert p.nvmlDeviceGetClockInfo(h, 1) < p.nvmlDeviceGetMaxClockInfo(h, 1) * 0.6
        """,
    )


def test_a_narrow_bus_and_a_slow_call(node: SimulatedNode) -> None:
    node.fault("pcie_width", gpu=0, code=4)
    node.fault("nvml_slow", gpu=0, call="nvmlDeviceGetSerial", seconds=0.3)
    ask(
        node,
        """
        import time
        assert p.nvmlDeviceGetCurrPcieLinkWidth(h) == 4 and p.nvmlDeviceGetMaxPcieLinkWidth(h) == 16
        for _ in range(2):
            begun = time.monotonic()
            p.nvmlDeviceGetSerial(h)
            assert time.monotonic() - begun >= 0.29
        """,
    )
    node.brain.clear()
    ask(node, "assert p.nvmlDeviceGetCurrPcieLinkWidth(h) == 16")


def test_storms_and_ailing_links_grow_with_the_clock_and_nothing_else(tmp_path: Path) -> None:
    values = []
    for turn in range(2):
        node = SimNode.create(tmp_path / f"n{turn}", "h100_sxm_8", seed=7, now=1000.0)
        node.inject("ecc_sbe_storm", gpu=0, code=50)
        node.inject("nvlink_errors", gpu=1)
        node.tick(1060.0)
        first, second = node.state.view.devices[0], node.state.view.devices[1]
        values.append((first.ecc_sbe_aggregate, second.nvlink_replay, second.nvlink_recovery, second.ecc_sbe_volatile))
    assert values[0] == values[1] == (3000, 1500, 150, 0)


def test_a_stubborn_job_ignores_sigterm_and_takes_sigkill(node: SimulatedNode) -> None:
    command = [sys.executable, "-m", "simulator", "run", "--state", str(node.state), "--gpu", "0", "--mem", "100"]
    job = subprocess.Popen([*command, "--stubborn", "--", "sleep", "600"], env=node.env, cwd=ROOT)
    wait_until(node.brain.processes)
    (process,) = node.brain.processes()
    status = Path(f"/proc/{process.pid}/status")
    wait_until(lambda: "sleep" in status.read_text())
    ignored = int(status.read_text().partition("SigIgn:")[2].split()[0], 16)
    assert ignored & 1 << (signal.SIGTERM - 1)
    os.kill(process.pid, signal.SIGKILL)
    assert job.wait(20) == 128 + signal.SIGKILL


def test_a_process_that_is_stuck_in_the_driver_outlives_its_own_death(node: SimulatedNode) -> None:
    job = node.run(["sleep", "600"], gpus=[0], memory_mib=4_000)
    pid = node.job_pid(job)
    node.fault("stuck_process", gpu=0)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    node.brain.refresh()
    seen = f"[x.pid for x in p.nvmlDeviceGetComputeRunningProcesses(h)] == [{pid}]"
    ask(node, f"assert {seen} and p.nvmlDeviceGetMemoryInfo(h, p.nvmlMemory_v2).used >> 20 == 4000")
    with pytest.raises(DeviceBusy):
        node.brain.reset(0)
    node.brain.clear("stuck_process")
    ask(node, "assert p.nvmlDeviceGetComputeRunningProcesses(h) == []")


def test_a_reset_mends_what_waits_for_one_and_no_more(node: SimulatedNode) -> None:
    for kind in ("ecc_dbe", "remap_pending", "remap_failed"):
        node.fault(kind, gpu=0)
    node.fault("xid", gpu=1, code=79)
    for gpu in (0, 1):
        node.brain.reset(gpu)
    ask(
        node,
        """
        assert p.nvmlDeviceGetTotalEccErrors(h, 1, 0) == 0 and p.nvmlDeviceGetTotalEccErrors(h, 1, 1) == 1
        assert p.nvmlDeviceGetRemappedRows(h) == (0, 2, 0, 1)
        try: p.nvmlDeviceGetHandleByIndex(1); raise SystemExit("came back")
        except p.NVMLError_GpuIsLost: pass
        """,
    )


def test_a_reboot_brings_a_lost_device_back_with_an_empty_log(node: SimulatedNode) -> None:
    node.run(["sleep", "600"], gpus=[0], memory_mib=4_000)
    node.fault("xid", gpu=1, code=79)
    node.brain.reboot()
    ask(
        node,
        """
        assert p.nvmlDeviceGetUUID(p.nvmlDeviceGetHandleByIndex(1))
        assert not p.nvmlDeviceGetComputeRunningProcesses(h)
        """,
    )
    assert KernelLog(path_of(node.state)).read() == []
