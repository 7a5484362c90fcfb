"""Hello and heartbeat: what the node says of itself, and the commands that come back."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from agent import nvml
from agent.commands import CommandRefused
from agent.device_records import Inventory, NvmlError
from agent.executor import Executor
from agent.host.base import Host, HostError
from agent.journal import Journal
from agent.options import AGENT_VERSION, boot_id
from agent.own_health import OwnHealth
from agent.portal_client import PortalClient, PortalError
from agent.trust import leads_to
from agent.verbs import LAYOUT_FACT, plain

log = logging.getLogger(__name__)
HELLO_AGAIN_SECONDS = 600.0
LOST_REASONS = frozenset({"gpu_is_lost", "unknown"})
HEALTH_EVERY_BEATS = 2  # a reading is some forty calls a device: not with every beat
REMEMBER_ENDED_SECONDS = 86_400.0
DEVICE_FIELDS = (
    *("uuid", "index", "name", "serial", "part_number", "pci_bus_id", "memory_mib", "power_limit_watts"),
    *("vbios_version", "inforom_version", "compute_capability", "architecture", "mig_capable", "mig_enabled"),
    *("nvlink_count", "numa_node", "ecc_enabled", "mig_instances"),
)
COMMAND_THREADS = 4


class Pulse:
    """The keeper's thread towards the portal."""

    def __init__(self, journal: Journal, host: Host, portal: PortalClient, executor: Executor, seconds: float) -> None:
        self._journal, self._host, self._portal, self._executor = journal, host, portal, executor
        self._seconds = seconds
        self._runners = ThreadPoolExecutor(COMMAND_THREADS, thread_name_prefix="command")
        self._own = OwnHealth(journal, os.getppid())
        self._beats = 0
        self._lost: set[str] = set()
        self._running: set[str] = set()
        self._refused: set[str] = set()
        self._refused_serials: set[int] = set()
        self._to_check: list[str] = []
        self._said_hello_at: float | None = None
        self._strange_key: str | None = None
        self._layout: str | None = None

    def beat(self, stop: threading.Event) -> None:
        """Until stopped."""
        while not stop.is_set():
            started = time.monotonic()
            silent = self._said_hello_at is None or started - self._said_hello_at > HELLO_AGAIN_SECONDS
            if silent or self._journal.fact(LAYOUT_FACT) != self._layout:
                self._try(self.hello)
            if self._journal.fact("node"):
                self._try(self.heartbeat)
            stop.wait(max(0.1, self._seconds - (time.monotonic() - started)))
        self._runners.shutdown(wait=False, cancel_futures=True)

    def _try(self, call: Callable[[], None]) -> None:
        """One call; what goes wrong is logged and tried again with the next beat."""
        try:
            call()
        except (PortalError, NvmlError, HostError) as error:
            log.warning("%s", error)
        except Exception:
            log.exception("a call to the portal failed")

    def hello(self) -> None:
        """Say who we are; pin the portal's keys the first time. NvmlError where the driver does not answer at all."""
        layout = self._journal.fact(LAYOUT_FACT)
        inventory = nvml.inventory()
        uuids = [device.uuid for device in inventory.devices]
        answer = self._portal.hello(
            {
                "boot_id": boot_id(),
                "agent_version": AGENT_VERSION,
                "driver_version": inventory.node.driver_version,
                "sent_at": time.time(),
                "ssh": asdict(self._host.door()),
                "devices": _devices(inventory),
                "faults": [{"index": each.index, "uuid": each.uuid, "code": each.code} for each in inventory.faults],
                "topology": nvml.topology(uuids),
                "checks": self._checks(uuids),
                "leases": self._leases(since=time.time() - REMEMBER_ENDED_SECONDS),
            }
        )
        self._follow(answer["signing_key"], answer["succession"])
        for name in ("ssh_ca", "node"):
            if not self._journal.pin(name, answer[name]):
                log.error("the portal now says another %s: refused, the first one stays", name)
                self._event(None, f"{name}_changed", {})
        self._journal.remember("devices", ",".join(device.uuid for device in inventory.devices))
        self._journal.tidy()
        self._layout = layout
        self._said_hello_at = time.monotonic()

    def _follow(self, offered: str, steps: list[dict[str, Any]]) -> None:
        """Pin the portal's signing key the first time; then go on only to one for which the pinned key vouches."""
        pinned = self._journal.fact("signing_key")
        if pinned == offered or (pinned is None and self._journal.pin("signing_key", offered)):
            return
        if leads_to(str(pinned), offered, steps):
            self._journal.remember("signing_key", offered)
            self._refused.clear()  # commands of the new key that came before we knew it
            log.warning("the portal has a new signing key, for which the one before it vouches")
            self._event(None, "signing_key_followed", {})
        elif offered != self._strange_key:
            self._strange_key = offered
            log.error("the portal now says another signing key: refused, the first one stays")
            self._event(None, "signing_key_changed", {})

    def heartbeat(self) -> None:
        """A sign of life; run what comes back."""
        body = {
            "boot_id": boot_id(),
            "devices": self._health(),
            "leases": self._leases(since=None),
            "checks": self._checks(self._to_check),
            "agent": self._own.look(),
            "sent_at": time.time(),
        }
        sent_at = time.time()
        answer = self._portal.heartbeat(body)
        # The portal's moment lies between our two: the middle errs by half the way there and back at most.
        self._own.clock_skew_seconds = round((sent_at + time.time()) / 2 - float(answer["now"]), 3)
        self._to_check = [str(uuid) for uuid in answer.get("check", [])]
        self._refuse([int(serial) for serial in answer.get("refuse", [])])
        self._follow(answer["signing_key"], answer["succession"])
        for envelope in answer["commands"]:
            self._start(envelope)

    def _refuse(self, serials: list[int]) -> None:
        """Certificates that the portal has withdrawn. Said with every beat, done when there are new ones."""
        if set(serials) - self._refused_serials:
            self._host.refuse_certificates(serials)
            self._refused_serials |= set(serials)

    def _start(self, envelope: dict[str, Any]) -> None:
        key = str(envelope.get("signature"))
        if key not in self._running and key not in self._refused:
            self._running.add(key)
            self._runners.submit(self._run, key, envelope)

    def _run(self, key: str, envelope: dict[str, Any]) -> None:
        try:
            self._executor.run(envelope)
        except CommandRefused as error:
            log.error("a command was refused: %s", error)
            self._refused.add(key)
            self._event(None, "command_refused", {"why": str(error)})
        except Exception:
            log.exception("a command failed; it will come again")
        finally:
            self._running.discard(key)

    def _event(self, uuid: str | None, kind: str, detail: dict[str, Any]) -> None:
        self._journal.add_event({"uuid": uuid, "kind": kind, "detail": detail, "at": time.time()})

    def _leases(self, since: float | None) -> list[dict[str, Any]]:
        held = [("granted", lease) for lease in self._journal.open_leases()]
        ended = [("revoked", lease) for lease in self._journal.ended_leases(since=since)]
        return [
            {
                "lease": lease.lease,
                "generation": lease.generation,
                "state": state,
                "hard_end": lease.hard_end,
                "at": lease.ended_at,
            }
            for state, lease in (*held, *ended)
        ]

    def _checks(self, uuids: list[str]) -> list[dict[str, Any]]:
        """Whether the devices that no lease of ours holds could be handed over now: the whole ladder."""
        held = {uuid for lease in self._journal.open_leases() for uuid in lease.held}
        return plain(nvml.check_ready([uuid for uuid in uuids if uuid not in held]))

    def _health(self) -> list[dict[str, Any]]:
        """Every other beat, what each device's reading shows; a device that does not answer is said to fail."""
        self._beats += 1
        if self._beats % HEALTH_EVERY_BEATS != 1:
            return []
        uuids = [uuid for uuid in (self._journal.fact("devices") or "").split(",") if uuid]
        judged = nvml.healths(uuids)
        lost = {each.uuid for each in judged if LOST_REASONS & set(each.reasons)}
        if lost - self._lost:
            self._said_hello_at = None  # the portal shall not wait ten minutes to hear that a device has gone
        self._lost = lost
        return [{"uuid": each.uuid, "health": each.level, "reasons": list(each.reasons)} for each in judged]


def _devices(inventory: Inventory) -> list[dict[str, Any]]:
    return [{name: device[name] for name in DEVICE_FIELDS} for device in map(asdict, inventory.devices)]
