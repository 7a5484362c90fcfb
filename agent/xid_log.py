"""Every XID once, whether NVML told it, the kernel's log, or both."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

from agent.device_records import DeviceFacts, XidEvent
from agent.journal import Journal
from agent.kernel_log import KernelLog, pci_key
from agent.options import boot_id

log = logging.getLogger(__name__)
SAME_SECONDS = 10.0  # the two ways of one report are closer together than this
REMEMBER = 200


class XidLog:
    """Into the journal's events. NVML's thread and the sampler's round both write here."""

    def __init__(self, journal: Journal, kernel_log: Path) -> None:
        self._journal = journal
        self._path = kernel_log
        self._kernel: KernelLog | None = None
        self._lock = threading.Lock()
        self._recent: list[tuple[str, str, int, float]] = []
        self._unreadable = False

    @property
    def readable(self) -> bool:
        """Whether the kernel's log can be read: where not, what NVML loses is lost."""
        return not self._unreadable

    def know(self, devices: tuple[DeviceFacts, ...]) -> None:
        """Keep which device sits where: one that is lost no longer says so itself."""
        known = self._places() | {pci_key(device.pci_bus_id): device.uuid for device in devices}
        self._journal.remember("device_places", json.dumps(known))

    def told_by_nvml(self, event: XidEvent) -> None:
        """An event of the driver's."""
        self._keep("nvml", event.uuid, event.at.timestamp(), {"xid": event.xid})

    def read_kernel(self) -> None:
        """What the kernel has logged since the last look, in this boot."""
        kernel = self._open()
        if kernel is None:
            return
        found, places = kernel.read(), self._places()
        for entry in found:
            self._keep("kernel", places.get(entry.pci, ""), entry.at, {"xid": entry.xid, "text": entry.text})
        self._journal.remember("kernel_log", json.dumps([boot_id(), kernel.sequence]))

    def _open(self) -> KernelLog | None:
        if self._kernel is None:
            boot, sequence = json.loads(self._journal.fact("kernel_log") or '["", -1]')
            try:
                self._kernel = KernelLog(self._path, sequence if boot == boot_id() else -1)
                self._unreadable = False
            except OSError as error:
                if not self._unreadable:
                    log.warning("the kernel's log cannot be read (%s): XIDs come from NVML alone", error)
                self._unreadable = True
        return self._kernel

    def _keep(self, source: str, uuid: str, at: float, detail: dict[str, Any]) -> None:
        """One way repeating itself is two XIDs; two ways saying the same within seconds are one."""
        xid = detail["xid"]
        with self._lock:
            for told in self._recent:
                if told[0] != source and told[1:3] == (uuid, xid) and abs(at - told[3]) < SAME_SECONDS:
                    self._recent.remove(told)
                    return
            self._recent = [*self._recent[-REMEMBER:], (source, uuid, xid, at)]
        self._journal.add_event({"uuid": uuid or None, "kind": "xid", "detail": detail, "at": at})

    def _places(self) -> dict[str, str]:
        places: dict[str, str] = json.loads(self._journal.fact("device_places") or "{}")
        return places
