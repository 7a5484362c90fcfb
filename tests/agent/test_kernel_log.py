"""XIDs of the kernel's log: read once, in the kernel's own format, put to the right device, never told twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.device_records import XidEvent
from agent.journal import Journal
from agent.kernel_log import KernelLog, pci_key
from agent.xid_log import XidLog

XID = "NVRM: Xid (PCI:0000:1b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


def record(sequence: int, text: str, seconds_ago: float = 5.0) -> str:
    """One /dev/kmsg record."""
    microseconds = int((time.clock_gettime(time.CLOCK_MONOTONIC) - seconds_ago) * 1e6)
    return f"4,{sequence},{microseconds},-;{text}\n SUBSYSTEM=pci\n"


def test_bus_ids_of_nvml_and_of_the_kernel_meet() -> None:
    assert pci_key("00000000:1B:00.0") == pci_key("0000:1b:00") == "0000:1b:00"


def test_records_are_read_once_and_by_their_sequence(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text(record(7, "usb 1-1: new device") + record(8, XID) + record(9, XID)[:30])
    log = KernelLog(path, after=-1)
    (first,) = log.read()
    assert (first.pci, first.xid) == ("0000:1b:00", 79) and "fallen off" in first.text
    assert first.at == pytest.approx(time.time() - 5, abs=2)
    with path.open("a") as file:
        file.write(record(9, XID)[30:])
    assert [each.xid for each in log.read()] == [79] and log.read() == []
    log.close()
    again = KernelLog(path, after=8)
    assert len(again.read()) == 1 and again.sequence == 9
    again.close()


def test_the_machines_own_log_can_be_read_or_says_why_not() -> None:
    try:
        log = KernelLog(Path("/dev/kmsg"))
    except OSError as error:
        pytest.skip(f"/dev/kmsg may not be read here: {error}")
    log.read()  # whatever is in there: it ends, and waits for nothing
    log.close()


def site(tmp_path: Path) -> tuple[Journal, XidLog, Path]:
    """A journal that knows one device, and its log."""
    journal, path = Journal(tmp_path / "state"), tmp_path / "kmsg"
    journal.remember("device_places", '{"0000:1b:00": "GPU-a"}')
    return journal, XidLog(journal, path), path


def told(journal: Journal) -> list[tuple[str | None, int]]:
    """(device, XID) of each event that waits for the portal."""
    return [(event["uuid"], event["detail"]["xid"]) for _, event in journal.events(50)]


def test_what_nvml_told_is_not_told_again_by_the_kernel(tmp_path: Path) -> None:
    journal, xids, path = site(tmp_path)
    xids.told_by_nvml(XidEvent("GPU-a", 79, datetime.now(UTC) - timedelta(seconds=5)))
    path.write_text(record(1, XID) + record(2, XID.replace("79", "94")))
    xids.read_kernel()
    assert told(journal) == [("GPU-a", 79), ("GPU-a", 94)]
    xids.told_by_nvml(XidEvent("GPU-a", 94, datetime.now(UTC) - timedelta(seconds=4)))
    assert len(told(journal)) == 2
    xids.told_by_nvml(XidEvent("GPU-a", 94, datetime.now(UTC)))
    assert len(told(journal)) == 3, "one way that repeats itself tells of a second XID"


def test_a_restarted_agent_goes_on_where_it_was(tmp_path: Path) -> None:
    journal, xids, path = site(tmp_path)
    path.write_text(record(1, XID))
    xids.read_kernel()
    with path.open("a") as file:
        file.write(record(2, XID.replace("1b", "ff")))
    again = XidLog(Journal(tmp_path / "state"), path)
    again.read_kernel()
    assert told(journal) == [("GPU-a", 79), (None, 79)]


def test_a_log_that_may_not_be_read_is_said_once_and_tried_again(tmp_path: Path) -> None:
    journal, xids, path = site(tmp_path)
    xids.read_kernel()
    assert not xids.readable
    path.write_text(record(1, XID))
    xids.read_kernel()
    assert xids.readable and told(journal) == [("GPU-a", 79)]
