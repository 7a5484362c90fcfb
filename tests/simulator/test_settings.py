"""Accounting, clocks, ECC settings and links: the rest of what NVML is asked."""

import os
import subprocess
from pathlib import Path

import pytest

from simulator import layout
from tests.simulator.nodes import SimulatedNode
from tests.simulator.test_node import START, make
from tests.simulator.test_shim import ask, raised

SETTERS = (
    "SetPersistenceMode(h, 0)",
    "SetComputeMode(h, 3)",
    "SetPowerManagementLimit(h, 500000)",
    "SetMigMode(h, 1)",
    "SetAccountingMode(h, 1)",
    "ClearAccountingPids(h)",
    "SetGpuLockedClocks(h, 200, 900)",
    "ResetGpuLockedClocks(h)",
    "SetEccMode(h, 0)",
    "ClearEccErrorCounts(h, 0)",
    "GetSramEccErrorStatus(h, p.byref(p.c_nvmlEccSramErrorStatus_v1_t()))",
)


@pytest.mark.parametrize("setter", SETTERS)
def test_no_setter_works_without_root(node: SimulatedNode, setter: str) -> None:
    assert raised(node, f"p.nvmlDevice{setter}", NVML_SIM_ROOT="0") == "NVMLError_NoPermission"


def test_the_rest_of_the_getters_answer(node: SimulatedNode) -> None:
    ask(
        node,
        """
        assert p.nvmlDeviceGetApplicationsClock(h, 1) == 1980
        assert p.nvmlDeviceGetDefaultEccMode(h) == [1]
        assert p.nvmlDeviceGetRowRemapperHistogram(h).max == 640
        s = p.c_nvmlEccSramErrorStatus_v1_t(); s.version = 0x1000068
        p.nvmlDeviceGetSramEccErrorStatus(h, p.byref(s)); assert s.bThresholdExceeded == 0
        assert p.nvmlDeviceGetNvLinkErrorCounter(h, 0, 0) == 0
        assert p.nvmlDeviceGetNvLinkRemoteDeviceType(h, 3) == p.NVML_NVLINK_DEVICE_TYPE_SWITCH
        assert p.nvmlDeviceGetNvLinkRemotePciInfo(h, 1).busId == "00000000:06:00.0"
        assert list(p.nvmlDeviceGetCpuAffinity(h, 2)) == [0xffffffff, 0]
        kind, (sample,) = p.nvmlDeviceGetSamples(h, p.NVML_TOTAL_POWER_SAMPLES, 0)
        assert kind == 1 and sample.sampleValue.uiVal == 72000
        assert p.nvmlDeviceGetSupportedEventTypes(h) & p.nvmlEventTypeXidCriticalError
        """,
    )


def test_locked_clocks_hold_a_job_down(node: SimulatedNode) -> None:
    node.brain.bind(os.getpid(), [0], 100)
    ask(node, "p.nvmlDeviceSetGpuLockedClocks(h, 200, 900)")
    node.brain.refresh()
    assert ask(node, "print(p.nvmlDeviceGetClockInfo(h, 1))") == "900"
    ask(node, "p.nvmlDeviceResetGpuLockedClocks(h)")
    node.brain.refresh()
    assert int(ask(node, "print(p.nvmlDeviceGetClockInfo(h, 1))")) > 900


def test_an_ecc_mode_waits_for_the_reset(node: SimulatedNode) -> None:
    ask(node, "p.nvmlDeviceSetEccMode(h, 0); assert p.nvmlDeviceGetEccMode(h) == [1, 0]")
    node.brain.reset(0)
    ask(node, "assert p.nvmlDeviceGetEccMode(h) == [0, 0]")


def test_error_counts_are_cleared(node: SimulatedNode) -> None:
    node.fault("ecc_dbe", gpu=0, code=2)
    ask(node, "p.nvmlDeviceClearEccErrorCounts(h, 0); assert p.nvmlDeviceGetTotalEccErrors(h, 1, 0) == 0")
    ask(node, "assert p.nvmlDeviceGetTotalEccErrors(h, 1, 1) == 2")


def test_accounting_keeps_what_a_process_used_after_its_end(node: SimulatedNode) -> None:
    ask(node, "p.nvmlDeviceSetAccountingMode(h, 1); assert p.nvmlDeviceGetAccountingPids(h) == []")
    job = node.run(["sleep", "600"], gpus=[0], memory_mib=2_000)
    pid = node.job_pid(job)
    ask(
        node,
        f"""
        assert p.nvmlDeviceGetAccountingPids(h) == [{pid}]
        s = p.nvmlDeviceGetAccountingStats(h, {pid})
        assert s.isRunning == 1 and s.time == 0 and s.maxMemoryUsage >> 20 == 2000
        """,
    )
    job.terminate()
    job.wait(timeout=20)
    node.brain.refresh()
    ask(
        node,
        f"""
        assert p.nvmlDeviceGetAccountingStats(h, {pid}).isRunning == 0
        p.nvmlDeviceClearAccountingPids(h); assert p.nvmlDeviceGetAccountingPids(h) == []
        """,
    )
    assert raised(node, "p.nvmlDeviceSetMigMode(h, 1); p.nvmlDeviceSetAccountingMode(h, 1)") == "NVMLError_NotSupported"


def test_the_accounting_ring_forgets_the_oldest(tmp_path: Path) -> None:
    node = make(tmp_path / "state")
    node.state.view.devices[0].accounting_mode = 1
    pids = []
    for number in range(layout.MAX_ACCOUNTS + 2):
        child = subprocess.Popen(["sleep", "60"])
        node.bind(child.pid, [0], 1)
        node.tick(START + 1 + number)
        child.kill()
        child.wait()
        pids.append(child.pid)
    kept = {account.pid for account in node.state.view.ledgers[0].accounts}
    assert kept == set(pids[2:])
