"""How the agent itself is: memory, CPU, what it costs the driver, what waits. For the portal's node page."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from agent.journal import Journal

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class OwnHealth:
    """Measures the supervisor `root` and the agent's processes below it; tenants' processes are not among them."""

    def __init__(self, journal: Journal, root: int) -> None:
        self._journal, self._root = journal, root
        self._before: tuple[float, float] | None = None
        self.clock_skew_seconds: float | None = None

    def look(self) -> dict[str, Any]:
        """{memory_mib, cpu_percent, clock_skew_seconds, parts, sampler: {...}}. cpu_percent is since the last look."""
        folders = [Path(f"/proc/{pid}") for pid in _agent_processes(self._root)]
        seconds = sum(_cpu_seconds(folder) for folder in folders)
        now = time.monotonic()
        before, self._before = self._before, (now, seconds)
        percent = None if before is None or now <= before[0] else 100 * (seconds - before[1]) / (now - before[0])
        return {
            "memory_mib": round(sum(_memory_kib(folder) for folder in folders) / 1024, 1),
            "cpu_percent": None if percent is None else round(max(0.0, percent), 2),
            "clock_skew_seconds": self.clock_skew_seconds,
            "samples_dropped": int(self._journal.fact("samples_dropped") or 0),
            "parts": _parts(self._journal.folder / "parts.json"),
            "sampler": json.loads(self._journal.fact("sampler_health") or "{}"),
        }


def _agent_processes(root: int) -> list[int]:
    """The supervisor, its parts, and their own workers (which carry the part's command line)."""
    found, row = [root], [root]
    while row:
        children = [child for pid in row for child in _children(pid)]
        row = [child for child in children if b"--part" in _read(Path(f"/proc/{child}/cmdline")).split(b"\0")]
        found += row
    return found


def _children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for thread in threads for word in _read(thread).split()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _cpu_seconds(folder: Path) -> float:
    words = _read(folder / "stat").rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS if len(words) > 12 else 0.0


def _memory_kib(folder: Path) -> int:
    words = _read(folder / "statm").split()
    # Shared pages are the interpreter's and counted once for each process otherwise.
    return (int(words[1]) - int(words[2])) * _PAGE_KIB if len(words) > 2 else 0


def _parts(file: Path) -> dict[str, Any]:
    try:
        parts: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return parts
