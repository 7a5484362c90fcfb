"""What the whole machine does: processor, memory, disks, network. Read from /proc and /sys; no root, no NVML.

A GPU at rest beside a busy processor or disk is fed with data, not forgotten: that is what these figures tell.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = (
    512  # of /proc/diskstats, whatever the disk's own sectors are (kernel: Documentation/admin-guide/iostats)
)
INFINIBAND_WORD_BYTES = 4  # port_rcv_data and port_xmit_data count four octets each (kernel: infiniband sysfs ABI)
INFINIBAND_LINK = "32"  # ARPHRD_INFINIBAND: IP over a port whose octets are counted already
PARTS_OF_OTHERS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")
"""Block devices that are none, or whose traffic their disks count once more."""
MIB = 1 << 20
LOOK_SECONDS = 60.0
"""The counters run on between two looks, so that one a minute loses nothing of the minute's mean."""


@dataclass(frozen=True)
class HostFigures:
    """One look at the machine. Rates are bytes a second since the last look; None where nothing can be said yet."""

    at: float
    cpu_percent: float | None
    load: float | None
    memory_used_mib: int | None
    memory_total_mib: int | None
    disk_read_bytes: int | None
    disk_written_bytes: int | None
    disk_used_mib: int | None
    disk_total_mib: int | None
    network_received_bytes: int | None
    network_sent_bytes: int | None


@dataclass(frozen=True)
class _Counters:
    """What only ever grows since the machine started."""

    seconds: float
    busy: int | None
    ticks: int | None
    read: int | None
    written: int | None
    received: int | None
    sent: int | None


class HostLooks:
    """Looks at one machine, in turn. `folder` lies on the disk that is told of; `root` is / except in tests."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        self._folder, self._root = folder, root
        self._last: _Counters | None = None

    def look_when_due(self) -> HostFigures | None:
        """A look once a minute; None in between."""
        if self._last is None or time.monotonic() - self._last.seconds > LOOK_SECONDS - 1:
            return self.look()
        return None

    def look(self) -> HostFigures:
        """What the machine does now. Never raises: what cannot be read is None."""
        now, before = self._counters(), self._last
        self._last = now
        memory_used, memory_total = self._memory()
        disk_used, disk_total = self._disk()
        return HostFigures(
            at=time.time(),
            cpu_percent=_share(before, now),
            load=self._load(),
            memory_used_mib=memory_used,
            memory_total_mib=memory_total,
            disk_read_bytes=_rate(before, now, "read"),
            disk_written_bytes=_rate(before, now, "written"),
            disk_used_mib=disk_used,
            disk_total_mib=disk_total,
            network_received_bytes=_rate(before, now, "received"),
            network_sent_bytes=_rate(before, now, "sent"),
        )

    def _counters(self) -> _Counters:
        busy, ticks = self._processor()
        read, written = self._disks()
        received, sent = self._network()
        return _Counters(time.monotonic(), busy, ticks, read, written, received, sent)

    def _text(self, name: str) -> str | None:
        try:
            return (self._root / name).read_text(errors="replace")
        except OSError:
            return None

    def _processor(self) -> tuple[int | None, int | None]:
        """Ticks at work and ticks in all; waiting for a disk is not work."""
        words = (self._text("proc/stat") or "").partition("\n")[0].split()[1:9]
        if len(words) < 8:
            return None, None
        user, nice, system, idle, waiting, interrupts, soft, stolen = map(int, words)
        busy = user + nice + system + interrupts + soft + stolen
        return busy, busy + idle + waiting

    def _load(self) -> float | None:
        words = (self._text("proc/loadavg") or "").split()
        return float(words[0]) if words else None

    def _memory(self) -> tuple[int | None, int | None]:
        lines = (line.partition(":") for line in (self._text("proc/meminfo") or "").splitlines())
        sizes = {name: value.split() for name, _colon, value in lines}
        if "MemTotal" not in sizes or "MemAvailable" not in sizes:
            return None, None
        total, available = int(sizes["MemTotal"][0]) // 1024, int(sizes["MemAvailable"][0]) // 1024
        return max(0, total - available), total

    def _disk(self) -> tuple[int | None, int | None]:
        try:
            seen = os.statvfs(self._folder)
        except OSError:
            return None, None
        return (seen.f_blocks - seen.f_bfree) * seen.f_frsize // MIB, seen.f_blocks * seen.f_frsize // MIB

    def _disks(self) -> tuple[int | None, int | None]:
        """Bytes read and written by whole disks: partitions and what is stacked upon them would count twice."""
        text = self._text("proc/diskstats")
        if text is None:
            return None, None
        rows = [line.split() for line in text.splitlines()]
        whole = [
            row for row in rows if len(row) > 9 and not row[2].startswith(PARTS_OF_OTHERS) and self._is_disk(row[2])
        ]
        return sum(int(row[5]) for row in whole) * SECTOR_BYTES, sum(int(row[9]) for row in whole) * SECTOR_BYTES

    def _is_disk(self, name: str) -> bool:
        return (self._root / "sys/block" / name).exists()

    def _network(self) -> tuple[int | None, int | None]:
        """Bytes that went over the machine's own interfaces, and over InfiniBand ports past the kernel.

        A bridge or bond counts again what its interfaces carry. Where no interface has hardware (a guest, a container),
        all but the loopback count.
        """
        text = self._text("proc/net/dev")
        if text is None:
            return None, None
        rows = {}
        for line in text.splitlines()[2:]:
            name, _colon, rest = line.partition(":")
            if name.strip() != "lo" and len(rest.split()) > 8:
                rows[name.strip()] = rest.split()
        own = {name: row for name, row in rows.items() if (self._root / "sys/class/net" / name / "device").exists()}
        counted = [row for name, row in (own or rows).items() if not self._is_infiniband(name)]
        received, sent = sum(int(row[0]) for row in counted), sum(int(row[8]) for row in counted)
        return received + self._ports("port_rcv_data"), sent + self._ports("port_xmit_data")

    def _is_infiniband(self, name: str) -> bool:
        return (self._text(f"sys/class/net/{name}/type") or "").strip() == INFINIBAND_LINK

    def _ports(self, counter: str) -> int:
        total = 0
        for path in (self._root / "sys/class/infiniband").glob(f"*/ports/*/counters/{counter}"):
            try:
                total += int(path.read_text()) * INFINIBAND_WORD_BYTES
            except (OSError, ValueError):
                continue
        return total


def _share(before: _Counters | None, now: _Counters) -> float | None:
    if before is None or None in (before.busy, before.ticks, now.busy, now.ticks):
        return None
    busy, ticks = (now.busy or 0) - (before.busy or 0), (now.ticks or 0) - (before.ticks or 0)
    return round(min(100.0, max(0.0, 100 * busy / ticks)), 1) if ticks > 0 else None


def _rate(before: _Counters | None, now: _Counters, name: str) -> int | None:
    """Bytes a second; None at first, and where a counter went back (a disk or an interface has gone)."""
    old, new = getattr(before, name, None), getattr(now, name)
    if before is None or old is None or new is None or new < old or now.seconds <= before.seconds:
        return None
    return round((new - old) / (now.seconds - before.seconds))
