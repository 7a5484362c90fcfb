"""The sampler: looks at every device, keeps batches on disk until the portal has them, passes on XIDs."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from typing import Any

from agent import nvml
from agent.device_records import DeviceSample, NvmlError
from agent.host_figures import HostLooks
from agent.journal import Journal
from agent.options import AgentOptions
from agent.parent import StopSignal
from agent.portal_client import PortalClient, PortalError
from agent.process_names import named
from agent.spool import Spool
from agent.verbs import LAYOUT_FACT
from agent.xid_log import XidLog
from agent.xid_watcher import XidWatcher

log = logging.getLogger(__name__)
EVENTS_A_CALL = 200
INVENTORY_SECONDS = 600.0
RESTART_NVML_SECONDS = 60.0
REPLACE_SECONDS = 60.0
"""A thread that hung this long in the driver is given up, and the process with it: a fresh one gets a new client."""
REPLACE_AGAIN_SECONDS = 900.0
REPLACED = 75  # exit status; the supervisor starts a new sampler whatever it is
GONE_CODES = frozenset({"GPU_IS_LOST", "RESET_REQUIRED", "UNINITIALIZED", "DRIVER_NOT_LOADED", "UNKNOWN"})
PLAIN = (
    *("uuid", "utilisation_percent", "sm_active_percent", "tensor_active_percent", "memory_used_mib"),
    *("power_watts", "energy_mj", "temperature_c"),
)


def row(sample: DeviceSample) -> dict[str, Any]:
    """A sample as it goes over the wire; `at` in epoch seconds."""
    said = {name: getattr(sample, name) for name in PLAIN}
    processes = {"process_count": len(sample.processes), "processes": named(sample.processes)}
    return {**said, **processes, "at": sample.at.timestamp()}


class Sampler:
    """One round after the other, on the clock."""

    def __init__(self, options: AgentOptions, journal: Journal, portal: PortalClient) -> None:
        self._options, self._journal, self._portal = options, journal, portal
        self.spool = Spool(options.state / "spool", journal, options.spool_batches)
        self.xids = XidLog(journal, options.kernel_log)
        self._host = HostLooks(options.state)
        self._uuids: tuple[str, ...] = ()
        self._parts: tuple[str, ...] = ()
        self._layout: str | None = None
        self._listed_at: float | None = None
        self._restarted_at = 0.0
        self._silent: dict[str | None, nvml.Silence] = {}
        self._last_success: dict[str, float] = {}

    def look(self) -> None:
        """Sample every device, and the machine, into the spool; the machine alone where the driver does not answer."""
        self._list_when_due()
        looked = self._host.look_when_due()
        host = asdict(looked) if looked else None
        calls = nvml.cost().calls
        try:
            found = nvml.sample_all((*self._uuids, *self._parts))
        except NvmlError as error:
            log.warning("no samples: %s", error)
            if host:
                self.spool.put([], host)
            self._start_again()
            return
        if found.samples or host:
            self.spool.put([row(sample) for sample in found.samples], host)
            self._last_success |= {sample.uuid: sample.at.timestamp() for sample in found.samples}
        if any(fault.code in GONE_CODES for fault in found.faults):
            self._start_again()
        self._tell_silences()
        self._tell_cost(nvml.cost().calls - calls, len(found.samples))

    def _list_when_due(self) -> None:
        """The inventory: at the start, every ten minutes, after a new layout and when the library was started again."""
        due = self._listed_at is None or time.monotonic() - self._listed_at > INVENTORY_SECONDS
        layout = self._journal.fact(LAYOUT_FACT)
        due = due or layout != self._layout
        if due or not self._uuids:
            try:
                inventory = nvml.inventory()
            except NvmlError as error:
                log.warning("no inventory: %s", error)
                return
            self._uuids = tuple(device.uuid for device in inventory.devices) or self._uuids
            self._parts = tuple(each.uuid for device in inventory.devices for each in device.mig_instances)
            self._layout = layout
            self.xids.know(inventory.devices)
            self._listed_at = time.monotonic()

    @property
    def uuids(self) -> tuple[str, ...]:
        """The whole devices of the last inventory."""
        return self._uuids

    def send(self) -> None:
        """Pass on what waits: samples, then events. Nothing before the first hello: the portal knows no device yet."""
        if self._journal.fact("node") is None:
            return
        self.spool.flush(self._portal)
        while waiting := self._journal.events(EVENTS_A_CALL):
            try:
                self._portal.events([event for _, event in waiting])
            except PortalError as error:
                if not error.final:
                    raise
                log.warning("events were refused for good: %s", error)
            self._journal.drop_events(waiting[-1][0])

    def must_be_replaced(self) -> bool:
        """Whether something has hung so long that only a new process will see the device again. Told as an event."""
        worst = max(nvml.silences(), key=lambda silence: silence.seconds, default=None)
        if worst is None or worst.seconds < REPLACE_SECONDS:
            return False
        if time.time() - float(self._journal.fact("sampler_replaced_at") or 0) < REPLACE_AGAIN_SECONDS:
            return False
        self._journal.remember("sampler_replaced_at", str(time.time()))
        self._event("sampler_replaced", worst.uuid, {"call": worst.call, "seconds": round(worst.seconds)})
        log.error("%s has hung for %.0f s: this process makes way for a new one", worst.call, worst.seconds)
        return True

    def _tell_silences(self) -> None:
        """An event when a device falls silent, and one when it answers again: not one a round."""
        now = {silence.uuid: silence for silence in nvml.silences()}
        for uuid, silence in now.items():
            if uuid not in self._silent:
                self._event("nvml_stalled", uuid, {"call": silence.call})
        for uuid, silence in self._silent.items():
            if uuid not in now:
                self._event("nvml_answers_again", uuid, {"call": silence.call, "seconds": round(silence.seconds)})
        self._silent = now

    def _tell_cost(self, calls: int, samples: int) -> None:
        """What the keeper tells the portal of this process; see agent.own_health."""
        cost = nvml.cost()
        said = {
            "calls_per_sample": round(calls / samples, 1) if samples else None,
            "cost_p50_us": cost.p50_us,
            "cost_p99_us": cost.p99_us,
            "silent": sorted(uuid or "node" for uuid in self._silent),
            "last_success": self._last_success,
            "kernel_log": self.xids.readable,
            "spool_batches": len(self.spool.waiting()),
        }
        self._journal.remember("sampler_health", json.dumps(said))

    def _event(self, kind: str, uuid: str | None, detail: dict[str, Any]) -> None:
        self._journal.add_event({"uuid": uuid, "kind": kind, "detail": detail, "at": time.time()})

    def _start_again(self) -> None:
        """A library that has lost a device or its driver finds it again only when started anew."""
        if time.monotonic() - self._restarted_at > RESTART_NVML_SECONDS:
            self._restarted_at = time.monotonic()
            self._listed_at = None
            try:
                nvml.restart()
            except NvmlError as error:
                log.warning("the library could not be shut down: %s", error)


def run(options: AgentOptions) -> int:
    """Until SIGTERM, or until only a new process can see a device again."""
    stop = StopSignal()
    journal = Journal(options.state)
    portal = PortalClient(options.portal, options.token_file)
    sampler = Sampler(options, journal, portal)
    watcher: XidWatcher | None = None
    status = 0
    while not stop.asked:
        options.beat_file("sampler").touch()
        sampler.look()
        if watcher is None or watcher.uuids != sampler.uuids:
            watcher = _watch(sampler, watcher)
        sampler.xids.read_kernel()
        try:
            sampler.send()
        except PortalError as error:
            log.warning("%s", error)
        if sampler.must_be_replaced():
            status = REPLACED
            break
        stop.wait(options.sample_seconds - time.time() % options.sample_seconds)
    if watcher is not None:
        watcher.stop()
    portal.close()
    return status


def _watch(sampler: Sampler, before: XidWatcher | None) -> XidWatcher | None:
    """A watcher over the devices that there are now; the one before is let go of."""
    if before is not None:
        before.stop()
    if not sampler.uuids:
        return None
    watcher = XidWatcher(sampler.uuids, sampler.xids.told_by_nvml)
    watcher.start()
    return watcher
