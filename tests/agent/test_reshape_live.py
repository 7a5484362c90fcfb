"""GPUs given back and replaced on a node that really runs: the portal, an agent, a simulated driver, real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from allocations.models import Lease, Reshape
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, ending, reconcile, reshaping
from cluster.models import Device, Handover
from cluster.services import commands
from cluster.services.nodes import register_node
from common.actors import SystemActor
from tests.agent.running import is_alive, start_agent, wait_until_gone
from tests.agent.test_agent_live import NO_BROKER, pytestmark
from tests.factories import AllocationFactory, PoolFactory, make_cast
from tests.factories.allocations import rival_award
from tests.simulator.nodes import SimulatedNode, start_node, wait_until

__all__ = ["pytestmark"]


class Site:
    """One node of four GPUs with its agent, and a lease of three of them."""

    def __init__(self, folder: Path, url: str, sim: SimulatedNode) -> None:
        self.sim, self.cast, self.pool = sim, make_cast(), PoolFactory(shared_nodes=True)
        self.node, token = register_node(actor=SystemActor("test"), name="gpu-reshape-01", pool=self.pool)
        self.agent = start_agent(folder, url, token, sim, NO_BROKER)
        self.agent.wait_for_hello()
        wait_until(lambda: Device.objects.filter(state="available").count() == 4, 60)
        self.lease = self.book(self.cast.owner, AllocationFactory(project=self.cast.project, pool=self.pool), 3)

    def book(self, actor: Any, allocation: Any, count: int) -> Lease:
        """A lease from now on, handed over."""
        now = timezone.now()
        window = {"starts_at": now, "ends_at": now + timedelta(hours=1)}
        lease = booking.book(actor=actor, allocation=allocation, device_count=count, **window)
        self.until(lambda: Lease.objects.get(pk=lease.pk).state == "active", lease)
        return lease

    def until(self, condition: Callable[[], bool], lease: Lease | None = None) -> None:
        """Reconcile as the tick does until it is so."""

        def turn() -> bool:
            reconcile.reconcile_lease((lease or self.lease).public_id)
            return condition()

        wait_until(turn, 90)

    def devices(self) -> list[Device]:
        """What the lease has, in order of index."""
        held = Device.objects.filter(placements__lease=self.lease, placements__released=False)
        return list(held.order_by("index"))

    def work_on(self, device: Device) -> int:
        """A process on a device; its PID."""
        return self.sim.job_pid(self.sim.run(["sleep", "600"], gpus=[device.index], memory_mib=20_000))

    def is_done(self, reshape: Reshape) -> bool:
        """Whether the change has come to its end."""
        return Reshape.objects.get(pk=reshape.pk).state == "done"

    def end(self) -> None:
        """The lease goes back, and everything adds up."""
        ending.release(actor=self.cast.owner, lease=self.lease)
        self.until(lambda: Lease.objects.get(pk=self.lease.pk).state == "ended")
        assert not list(ledger_faults())


@pytest.fixture
def site(tmp_path: Path, live_server: Any) -> Iterator[Site]:
    sim = start_node(tmp_path, count=4)
    made = None
    try:
        made = Site(tmp_path, live_server.url, sim)
        yield made
    finally:
        if made is not None:
            made.agent.stop()
        sim.stop()


def test_what_is_given_back_is_ended_cleaned_and_lent_to_others_while_the_rest_works(site: Site) -> None:
    stays, goes, _third = site.devices()
    kept, ended = site.work_on(stays), site.work_on(goes)
    reshape = reshaping.shrink(actor=site.cast.owner, lease=site.lease, devices=[goes])
    site.until(lambda: site.is_done(reshape))
    wait_until_gone(ended)
    assert is_alive(kept), "what runs on the GPUs that stay goes on"
    goes.refresh_from_db()
    assert goes.state == "available" and goes not in site.devices()
    evidence = Handover.objects.get(device=goes, moment="end")
    assert evidence.passed and evidence.lease_ref == site.lease.public_id
    (local,) = site.agent.journal.open_leases()
    assert local.phase == "granted" and set(local.device_uuids) == {device.uuid for device in site.devices()}
    following = site.book(site.cast.outsider, rival_award(site.cast, site.pool), 2)
    assert goes in Device.objects.filter(placements__lease=following)
    assert is_alive(kept)
    site.end()
    wait_until_gone(kept)


@pytest.mark.parametrize("fault", ["xid", "gpu_lost"])
def test_a_gpu_that_fell_ill_is_replaced_while_the_rest_works(site: Site, fault: str) -> None:
    ill, stays, _third = site.devices()
    kept = site.work_on(stays)
    site.sim.fault(fault, gpu=ill.index, **({"code": 79} if fault == "xid" else {}))
    wait_until(lambda: Device.objects.get(pk=ill.pk).health == "fail", 60)
    time.sleep(1.5)  # only whole seconds are credited
    reshape = reshaping.swap_device(actor=site.cast.owner, lease=site.lease, device=ill)
    site.until(lambda: site.is_done(reshape))
    ill.refresh_from_db()
    new = reshape.coming.get().device
    assert ill.state in ("quarantined", "offline") and new.state == "in_use" and len(site.devices()) == 3
    assert Handover.objects.get(device=new, moment="start").passed
    assert is_alive(kept) and is_alive(site.work_on(new))
    site.end()
    credited = site.lease.ledger.filter(kind="credit")
    assert [entry.reason for entry in credited] == ["device lost"], "from the fault to the replacement"


def test_an_agent_that_is_killed_in_the_middle_brings_it_to_an_end(site: Site) -> None:
    stays, goes, _third = site.devices()
    kept, ended = site.work_on(stays), site.work_on(goes)
    reshape = reshaping.shrink(actor=site.cast.owner, lease=site.lease, devices=[goes])
    reconcile.reconcile_lease(site.lease.public_id)
    wait_until(lambda: goes.uuid in site.agent.journal.open_leases()[0].leaving, 60)
    killed = site.agent.kill("keeper")
    wait_until(lambda: site.agent.pids.get("keeper") not in (None, killed), 60)
    site.until(lambda: site.is_done(reshape))
    wait_until_gone(ended)
    assert is_alive(kept)
    site.end()


def test_a_node_that_is_silent_in_the_middle_keeps_everything_until_it_speaks(site: Site) -> None:
    stays, goes, _third = site.devices()
    kept = site.work_on(stays)
    silent = [site.agent.process.pid, site.agent.pids["keeper"], site.agent.pids["worker"]]
    for pid in silent:
        os.kill(pid, signal.SIGSTOP)
    reshape = reshaping.shrink(actor=site.cast.owner, lease=site.lease, devices=[goes])
    reconcile.reconcile_lease(site.lease.public_id)
    assert commands.expire_late(timezone.now() + timedelta(minutes=5)) == 1
    reconcile.reconcile_lease(site.lease.public_id)
    goes.refresh_from_db()
    assert goes in site.devices() and goes.state == "in_use" and reshape.leaving.get().window.upper is None
    time.sleep(1)
    for pid in silent:
        os.kill(pid, signal.SIGCONT)
    site.until(lambda: site.is_done(reshape))
    assert is_alive(kept) and len(site.devices()) == 2
    site.end()
