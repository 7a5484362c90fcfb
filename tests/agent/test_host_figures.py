"""What the machine does, from files such as a kernel writes; the rates between two looks."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent.device_records import DeviceProcess
from agent.host_figures import HostLooks
from agent.process_names import PROCESSES_A_DEVICE, named

MIB = 1 << 20
NET = "Inter-|   Receive\n face |bytes\n"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def machine(root: Path, busy: int, idle: int, read: int, received: int, words: int) -> None:
    """A kernel's files after so much work: ticks, sectors, bytes, words of InfiniBand."""
    write(root, "proc/stat", f"cpu {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1\n")
    write(root, "proc/loadavg", "3.50 2 1 1/2 3\n")
    write(root, "proc/meminfo", "MemTotal: 2097152 kB\nMemFree: 1 kB\nMemAvailable: 524288 kB\n")
    disk, part, mapped = (
        f"259 {n} {name} 9 9 {read} 9 9 9 {2 * read} 9 0 9 9\n"
        for n, name in enumerate(("nvme0n1", "nvme0n1p1", "dm-0"))
    )
    write(root, "proc/diskstats", disk + part + mapped)
    nets = "".join(f"  {name}: {received} 1 0 0 0 0 0 0 {received} 1\n" for name in ("lo", "eth0", "br0", "ib0"))
    write(root, "proc/net/dev", NET + nets)
    for counter in ("port_rcv_data", "port_xmit_data"):
        write(root, f"sys/class/infiniband/mlx5_0/ports/1/counters/{counter}", f"{words}\n")
    for name in ("sys/block/nvme0n1", "sys/block/dm-0", "sys/class/net/eth0/device", "sys/class/net/ib0/device"):
        (root / name).mkdir(parents=True, exist_ok=True)
    write(root, "sys/class/net/ib0/type", "32\n")


def test_rates_are_between_two_looks_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    looks = HostLooks(tmp_path, tmp_path)
    machine(tmp_path, busy=100, idle=100, read=1000, received=5000, words=0)
    first, begun = looks.look(), time.monotonic()
    assert (first.cpu_percent, first.disk_read_bytes, first.network_received_bytes) == (None, None, None)
    assert (first.load, first.memory_used_mib, first.memory_total_mib) == (3.5, 1536, 2048)
    machine(tmp_path, busy=130, idle=110, read=1000 + 20_000, received=5000 + 1_000_000, words=1_000_000)
    time.sleep(0.05)
    second, seconds = looks.look(), time.monotonic() - begun
    assert second.cpu_percent == 75.0
    sent = [second.disk_read_bytes, second.disk_written_bytes, second.network_received_bytes, second.network_sent_bytes]
    for rate, whole in zip(sent, (20_000 * 512, 40_000 * 512, 5_000_000, 5_000_000), strict=True):
        assert rate is not None and abs(rate * seconds - whole) < whole * 0.1


def test_a_counter_that_went_back_and_a_file_that_is_missing_are_gaps(tmp_path: Path) -> None:
    looks = HostLooks(tmp_path / "gone", tmp_path)
    first = looks.look_when_due()
    assert first and first.memory_used_mib is None
    assert looks.look_when_due() is None and looks.look().cpu_percent is None
    machine(tmp_path, busy=100, idle=100, read=1000, received=5000, words=10)
    looks.look()
    machine(tmp_path, busy=1, idle=1, read=10, received=50, words=0)
    seen = looks.look()
    assert (seen.disk_read_bytes, seen.network_sent_bytes, seen.cpu_percent, seen.disk_used_mib) == (None,) * 4


def test_processes_are_named_without_their_command_lines_and_bounded() -> None:
    told = named(
        [*(DeviceProcess(pid, None) for pid in range(2_000_000_000, 2_000_000_100)), DeviceProcess(os.getpid(), 900)]
    )
    assert len(told) == PROCESSES_A_DEVICE
    assert told[0]["pid"] == os.getpid() and told[0]["memory_mib"] == 900
    assert told[0]["name"] == Path(f"/proc/{os.getpid()}/comm").read_text().strip() and told[0]["user"]
    assert told[1]["name"] is None and told[1]["user"] is None and set(told[0]) == {"pid", "name", "memory_mib", "user"}
