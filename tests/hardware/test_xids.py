"""What becomes of a program's own fault: the driver's event, and the kernel's line. Last: a fault ends what runs."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from agent import nvml
from agent.device_records import XidEvent
from agent.kernel_log import KernelLog
from agent.xid_watcher import XidWatcher
from tests.hardware.conftest import Record
from tests.hardware.target import Target

KMSG = Path("/dev/kmsg")
TOLD_SECONDS = 3.0


@pytest.mark.parametrize("kind, xids", [("stray", {31}), ("trap", {13, 43})])
def test_a_programs_fault_is_told_once_by_each_way(
    target: Target, record: Record, uuid: str, kind: str, xids: set[int]
) -> None:
    if not target.real:
        pytest.skip("no program of ours runs on simulated devices; tests/simulator has their XIDs")
    try:
        kernel: KernelLog | None = KernelLog(KMSG)
        kernel.read()
    except OSError:
        kernel = None
    told: list[XidEvent] = []
    watcher = XidWatcher([uuid], told.append)
    watcher.start()
    assert watcher.watching.wait(5)
    with target.work(kind, 1) as work:
        said = work.wait()
    time.sleep(TOLD_SECONDS)
    watcher.stop()
    lines = kernel.read() if kernel else []
    record(
        f"fault_{kind}",
        {
            "program": said.split("\n"),
            "nvml": [asdict(each) for each in told],
            "kernel": [asdict(each) for each in lines],
            "kernel_readable": kernel is not None,
        },
    )
    assert threading.active_count() >= 1 and nvml.sample(uuid).processes == ()
    assert {each.xid for each in told} & xids or {each.xid for each in lines} & xids
