"""What partners do: book through the service, run a job on what they are given, leave early or stay to the end."""

import os
import random
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent.host.processes import mark_of
from bench.campaign.machines import NodeUnderTest
from bench.campaign.observer import Access, Observer, TenantProcess
from bench.partner import make_allocation, make_partner
from simulator.node import DeviceBusy, OutOfMemory
from simulator.state import process_start_ticks

JOB_MIB = 20_000
SHORTEST_JOB_SECONDS = 3.0
STUBBORN, EARLY, CANCELLED = 0.25, 0.25, 0.05
"""Shares: jobs that ignore SIGTERM, leases given back before their end, leases given up before the start."""


@dataclass
class Booked:
    """A lease that a partner holds, and what the partner means to do with it. Epoch seconds."""

    key: int
    user: Any
    act: str
    at: float


class Tenants:
    """Two organisations on one pool. `book` and `act` are called from the campaign's loop."""

    def __init__(self, pool: Any, gpu_class: str, gpus: int, chance: random.Random) -> None:
        self._chance = chance
        self._partners = []
        for name in ("east", "west"):
            user, agreement = make_partner(f"bench-{name}", [gpu_class])
            self._partners.append((user, make_allocation(agreement, pool, gpus, f"bench-{name}")))
        self.booked: list[int] = []
        self.last_end = 0.0
        self._plans: list[Booked] = []
        self._tried: set[tuple[str, str]] = set()
        self.jobs: list[subprocess.Popen[bytes]] = []
        self.refused: Counter[str] = Counter()

    def book(self, now: Any) -> None:
        """One or two devices for half a minute or so, starting in a few seconds. RuleBroken is counted."""
        from django.db import transaction
        from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

        from allocations.models import Lease, Placement
        from allocations.services.booking import book
        from common.errors import RuleBroken

        user, allocation = self._chance.choice(self._partners)
        start = now + timedelta(seconds=self._chance.uniform(3, 8))
        end = start + timedelta(seconds=self._chance.uniform(20, 45))
        count = self._chance.choice((1, 1, 2))
        try:
            with (
                transaction.atomic()
            ):  # the rule of ten minutes is for people; nothing else of the service is passed by
                lease = book(
                    actor=user,
                    allocation=allocation,
                    device_count=count,
                    starts_at=start,
                    ends_at=start + timedelta(minutes=10),
                )
                Lease.objects.filter(pk=lease.pk).update(ends_at=end)
                Placement.objects.filter(lease=lease).update(window=DateTimeTZRange(start, end))
        except RuleBroken as error:
            self.refused[error.code] += 1
            return
        self.booked.append(lease.pk)
        self.last_end = max(self.last_end, end.timestamp())
        self._plan(lease.pk, user, start.timestamp(), end.timestamp())

    def _plan(self, key: int, user: Any, start: float, end: float) -> None:
        luck = self._chance.random()
        if luck < CANCELLED:
            self._plans.append(Booked(key, user, "cancel", start - 1))
        elif luck < CANCELLED + EARLY:
            self._plans.append(Booked(key, user, "release", self._chance.uniform(start + 2, end - 1)))

    def act(self, now: float) -> None:
        """Cancel and release what is due; a lease that is no longer in a state for it is left alone."""
        from allocations.models import Lease
        from allocations.services import ending
        from common.errors import DomainError

        for plan in [plan for plan in self._plans if plan.at <= now]:
            verb = ending.cancel if plan.act == "cancel" else ending.release
            try:
                verb(actor=plan.user, lease=Lease.objects.get(pk=plan.key))
            except DomainError as error:
                self.refused[f"{plan.act}: {error.code}"] += 1
            self._plans.remove(plan)

    def work(self, observer: Observer, nodes: dict[str, NodeUnderTest], now: float) -> None:
        """Start a job, once a lease and node, where a lease is let in."""
        for (lease, name), access in list(observer.let_in.items()):
            if (lease, name) in self._tried or access.hard_end - now < SHORTEST_JOB_SECONDS:
                continue
            self._tried.add((lease, name))
            self._start(observer, nodes[name], lease, access)
        self.jobs = [job for job in self.jobs if job.poll() is None]

    def _start(self, observer: Observer, node: NodeUnderTest, lease: str, access: Access) -> None:
        stubborn = self._chance.random() < STUBBORN
        script = ("trap '' TERM HUP INT; " if stubborn else "") + "exec sleep 3600"
        marks = {"BITGOEUL_LEASE": lease, "BITGOEUL_NODE": mark_of(node.name, node.sandbox)}
        job = subprocess.Popen(["sh", "-c", script], env={"PATH": os.environ["PATH"], **marks}, start_new_session=True)
        self.jobs.append(job)
        held = node.journal.lease(lease)
        if held is None or held.phase != "granted":  # the door was shut meanwhile: nobody would have come in
            job.kill()
            return
        started = process_start_ticks(job.pid)
        if started is None:
            return
        observer.add(TenantProcess(job.pid, started, lease, node.name))
        gpus = [node.sim.uuids.index(uuid) for uuid in access.devices if uuid in node.sim.uuids]
        with suppress(ProcessLookupError, OutOfMemory, DeviceBusy):
            node.sim.bind(job.pid, gpus, JOB_MIB, self._chance.choice(("pretrain", "finetune", "inference", "hung")))
