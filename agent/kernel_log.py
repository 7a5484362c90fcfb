"""XIDs from the kernel's log: those that the driver reported before anybody listened, and those that NVML lost.

Records are /dev/kmsg's: `priority,sequence,microseconds,flags;text` (kernel.org, ABI/testing/dev-kmsg). The driver's
line is `NVRM: Xid (PCI:0000:1b:00): 79, pid=..., name=...` (docs.nvidia.com, deploy/xid-errors).
"""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

RECORD_BYTES = 8192  # the kernel hands out one record a read and refuses a smaller buffer
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.\d)?\): (\d+)")


@dataclass(frozen=True)
class KernelXid:
    """One XID line. `pci` is normalised (see `pci_key`), `at` epoch seconds, `text` the driver's own words."""

    pci: str
    xid: int
    at: float
    text: str


def pci_key(bus_id: str) -> str:
    """`0000:1b:00` of NVML's `00000000:1B:00.0` and of the kernel's `0000:1b:00`."""
    domain, bus, device = bus_id.lower().split(":")[-3:]
    return f"{domain[-4:].zfill(4)}:{bus}:{device.partition('.')[0]}"


class KernelLog:
    """Reads on from a sequence number; never waits. The file may be /dev/kmsg or a copy of its records."""

    def __init__(self, path: Path, after: int = -1) -> None:
        """`after`: the highest sequence that was read before in this boot. OSError where it may not be read."""
        self.sequence = after
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_device = stat.S_ISCHR(os.fstat(self._file).st_mode)
        self._rest = b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def read(self) -> list[KernelXid]:
        """What is new. Records that were overwritten before they were read are gone; the kernel says so once."""
        found = []
        for record in self._records():
            head, _, text = record.partition(";")
            words = head.split(",")
            if len(words) < 3 or not (words[1].isdecimal() and words[2].isdecimal()):
                continue  # a continuation line, or not a record
            if int(words[1]) <= self.sequence:
                continue
            self.sequence = int(words[1])
            match = _XID.search(text)
            if match:
                pci = pci_key(":".join(match.groups()[:3]))
                found.append(KernelXid(pci, int(match[4]), _epoch(int(words[2])), text.strip()[:300]))
        return found

    def _records(self) -> list[str]:
        chunks = []
        while True:
            try:
                chunk = os.read(self._file, RECORD_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:  # records were overwritten since the last read
                continue
            if not chunk:
                break
            chunks.append(chunk)
        if self._is_device:
            return [chunk.decode("utf-8", "replace").partition("\n")[0] for chunk in chunks]
        *lines, self._rest = (self._rest + b"".join(chunks)).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]


def _epoch(microseconds: int) -> float:
    """The kernel stamps records with its clock since boot; a suspend in between moves it, which servers do not do."""
    return time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + microseconds / 1e6
