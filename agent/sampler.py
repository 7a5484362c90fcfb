"""The sampler: looks at every device, keeps batches on disk until the portal has them, passes on XIDs."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

from agent import nvml
from agent.device_records import DeviceSample, NvmlError, XidEvent
from agent.journal import Journal
from agent.options import AgentOptions, boot_id
from agent.portal_client import PortalClient, PortalError, pack
from agent.xid_watcher import XidWatcher

log = logging.getLogger(__name__)
FLUSH_BATCHES = 60  # a round: after an outage the backlog goes out in slices, the newest look is not late for it
EVENTS_A_CALL = 200
RESTART_NVML_SECONDS = 60.0
GONE_CODES = frozenset({"GPU_IS_LOST", "RESET_REQUIRED", "UNINITIALIZED", "DRIVER_NOT_LOADED", "UNKNOWN"})
PLAIN = (
    *("uuid", "utilisation_percent", "sm_active_percent", "tensor_active_percent", "memory_used_mib"),
    *("power_watts", "energy_mj", "temperature_c"),
)


class Spool:
    """Batches that wait on disk, oldest first; beyond the bound the oldest are dropped and counted."""

    def __init__(self, folder: Path, journal: Journal, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._journal, self._limit = folder, journal, limit

    def put(self, samples: list[dict[str, Any]]) -> int:
        """Keep a batch; its sequence, which never repeats and never goes back on this node."""
        sequence = self._journal.count_up("sample_sequence")
        path = self._folder / f"{sequence:012d}.json.gz"
        draft = path.with_suffix(".new")
        draft.write_bytes(pack({"boot_id": boot_id(), "sequence": sequence, "samples": samples}))
        draft.replace(path)
        waiting = self.waiting()
        for old in waiting[: max(0, len(waiting) - self._limit)]:
            self._drop(old)
        return sequence

    def waiting(self) -> list[Path]:
        """What has not gone out yet."""
        return sorted(self._folder.glob("*.json.gz"))

    def flush(self, portal: PortalClient) -> None:
        """Send what waits, oldest first; PortalError where the portal is away."""
        for path in self.waiting()[:FLUSH_BATCHES]:
            try:
                portal.samples(path.read_bytes())
            except PortalError as error:
                if not error.final:
                    raise
                log.warning("a batch was refused for good: %s", error)
                self._drop(path)
                continue
            path.unlink(missing_ok=True)
        self._tell_gap()

    def _drop(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._journal.count_up("samples_dropped")

    def _tell_gap(self) -> None:
        dropped = int(self._journal.fact("samples_dropped") or 0)
        told = int(self._journal.fact("samples_dropped_told") or 0)
        if dropped > told:
            detail = {"batches": dropped - told}
            self._journal.add_event({"uuid": None, "kind": "samples_dropped", "detail": detail, "at": time.time()})
            self._journal.remember("samples_dropped_told", str(dropped))


def row(sample: DeviceSample) -> dict[str, Any]:
    """A sample as it goes over the wire; `at` in epoch seconds."""
    said = {name: getattr(sample, name) for name in PLAIN}
    return {**said, "at": sample.at.timestamp(), "process_count": len(sample.processes)}


class Sampler:
    """One round after the other, on the clock."""

    def __init__(self, options: AgentOptions, journal: Journal, portal: PortalClient) -> None:
        self._options, self._journal, self._portal = options, journal, portal
        self.spool = Spool(options.state / "spool", journal, options.spool_batches)
        self._restarted_at = 0.0

    def look(self) -> None:
        """Sample every device into the spool."""
        try:
            found = nvml.sample_all()
        except NvmlError as error:
            log.warning("no samples: %s", error)
            self._start_again()
            return
        if found.samples:
            self.spool.put([row(sample) for sample in found.samples])
        if any(fault.code in GONE_CODES for fault in found.faults):
            self._start_again()

    def send(self) -> None:
        """Pass on what waits: samples, then events."""
        self.spool.flush(self._portal)
        while waiting := self._journal.events(EVENTS_A_CALL):
            try:
                self._portal.events([event for _, event in waiting])
            except PortalError as error:
                if not error.final:
                    raise
                log.warning("events were refused for good: %s", error)
            self._journal.drop_events(waiting[-1][0])

    def xid(self, event: XidEvent) -> None:
        """Keep an XID; it goes out with the next round."""
        detail, at = {"xid": event.xid}, event.at.timestamp()
        self._journal.add_event({"uuid": event.uuid or None, "kind": "xid", "detail": detail, "at": at})

    def _start_again(self) -> None:
        """A library that has lost a device or its driver finds it again only when started anew."""
        if time.monotonic() - self._restarted_at > RESTART_NVML_SECONDS:
            self._restarted_at = time.monotonic()
            nvml.restart()


def run(options: AgentOptions) -> int:
    """Until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    journal = Journal(options.state)
    portal = PortalClient(options.portal, options.token_file)
    sampler = Sampler(options, journal, portal)
    watcher: XidWatcher | None = None
    while not stop.is_set():
        if watcher is None:
            watcher = _watch(sampler)
        sampler.look()
        try:
            sampler.send()
        except PortalError as error:
            log.warning("%s", error)
        stop.wait(options.sample_seconds - time.time() % options.sample_seconds)
    if watcher is not None:
        watcher.stop()
    portal.close()
    return 0


def _watch(sampler: Sampler) -> XidWatcher | None:
    try:
        uuids = nvml.enumerate_uuids()[0]
    except NvmlError:
        return None
    watcher = XidWatcher(uuids, sampler.xid)
    watcher.start()
    return watcher
