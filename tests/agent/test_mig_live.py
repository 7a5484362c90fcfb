"""A GPU cut into MIG instances by an operator, and two of them lent to two organisations at once: the real agent over
HTTP, from the layout to the return, the instances measured and taken back apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from agent.host.processes import mark_of
from allocations.models import Allocation, Lease
from allocations.selectors.leases import lease_devices
from allocations.selectors.proof import ledger_faults
from allocations.services import booking, ending, operating, reconcile
from cluster.models import Device, Grant, Handover
from cluster.services.nodes import register_node
from common.actors import SystemActor
from telemetry.models import Sample
from tests.agent.running import start_agent
from tests.factories import AllocationFactory, PoolFactory, make_cast
from tests.factories.allocations import rival_award
from tests.simulator.nodes import ROOT, SimulatedNode, start_node, wait_until

EVERY_APP = [app.name for app in apps.get_app_configs()]
pytestmark = [
    pytest.mark.django_db(transaction=True, available_apps=EVERY_APP),
    pytest.mark.xdist_group("agent-live"),
]
NO_BROKER = "redis://127.0.0.1:9/0"
SMALL = "1g.10gb"


def on_the_way(until: Callable[[], Any]) -> None:
    """Tick, as the beat does, until something is so."""

    def turn() -> Any:
        reconcile.tick()
        return until()

    wait_until(turn, 90)


def book(actor: Any, allocation: Allocation) -> Lease:
    now = timezone.now()
    return booking.book(
        actor=actor,
        allocation=allocation,
        device_count=1,
        starts_at=now,
        ends_at=now + timedelta(hours=1),
        profile=SMALL,
    )


def is_in(lease: Lease, state: str) -> bool:
    lease.refresh_from_db()
    return lease.state == state


def device_of(lease: Lease) -> Device:
    return lease.placements.select_related("device__parent").get().device


def work_on(sim: SimulatedNode, lease: Lease, memory_mib: int, mark: str) -> subprocess.Popen[bytes]:
    """A tenant's process on the instance of the lease."""
    facts = device_of(lease).facts
    run = [sys.executable, "-m", "simulator", "run", "--gpu", "0", "--mem", str(memory_mib), "--state", str(sim.state)]
    place = f"{facts['gpu_instance']}:{facts['compute_instance']}"
    marks = {"BITGOEUL_LEASE": lease.public_id, "BITGOEUL_NODE": mark}
    return subprocess.Popen([*run, "--instance", place, "--", "sleep", "600"], cwd=ROOT, env={**os.environ, **marks})


def test_two_organisations_use_two_instances_of_one_gpu_apart(tmp_path: Path, live_server: Any) -> None:
    sim = start_node(tmp_path, "h100_sxm_8", count=1)
    cast, pool = make_cast(), PoolFactory(shared_nodes=True)
    _node, token = register_node(actor=SystemActor("test"), name="gpu-mig-01", pool=pool)
    agent = start_agent(tmp_path, live_server.url, token, sim, NO_BROKER)
    jobs: list[subprocess.Popen[bytes]] = []
    try:
        agent.wait_for_hello()
        wait_until(lambda: Device.objects.filter(state="available").count() == 1, 60)
        gpu = Device.objects.get()
        operating.partition_device(actor=cast.operator, device=gpu, instances=[SMALL, SMALL], reason="small jobs")
        wait_until(lambda: Device.objects.filter(profile=SMALL, state="available").count() == 2, 90)
        gpu.refresh_from_db()
        assert gpu.is_cut and not Device.objects.filter(awaiting_confirmation=True).exists()

        award = AllocationFactory(project=cast.project, pool=pool)
        one, two = book(cast.owner, award), book(cast.outsider, rival_award(cast, pool))
        assert device_of(one).parent == device_of(two).parent == gpu and device_of(one) != device_of(two)
        on_the_way(lambda: is_in(one, "active") and is_in(two, "active"))
        grants = dict(Grant.objects.values_list("lease_ref", "device_uuids"))
        assert grants == {each.public_id: [device_of(each).uuid] for each in (one, two)}
        assert Handover.objects.filter(moment="start", passed=True).count() == 2

        mark = mark_of("gpu-mig-01", agent.sandbox)
        jobs += [work_on(sim, one, 5_000, mark), work_on(sim, two, 1_000, mark)]
        wait_until(lambda: Sample.objects.filter(device=device_of(one), process_count=1).count() > 2, 60)
        wait_until(lambda: Sample.objects.filter(device=device_of(two), process_count=1).count() > 2, 60)
        (mine,), (theirs,) = (lease_devices(each, timezone.now()) for each in (one, two))
        assert mine.sample and theirs.sample
        assert mine.sample.memory_used_mib - theirs.sample.memory_used_mib >= 3_900, "each its own memory"
        assert (mine.sample.utilisation_percent or 0) > 0 and mine.sample.power_watts is None

        ending.release(actor=cast.owner, lease=one)
        on_the_way(lambda: is_in(one, "ended"))
        assert jobs[0].wait(20) != 0 and jobs[1].poll() is None and is_in(two, "active")
        assert Sample.objects.filter(device=device_of(two)).latest("at").process_count == 1
        assert device_of(one).state == "available"
        ending.release(actor=cast.outsider, lease=two)
        on_the_way(lambda: is_in(two, "ended"))
        assert jobs[1].wait(20) != 0 and not list(ledger_faults())

        operating.partition_device(actor=cast.operator, device=gpu, instances=[], reason="large jobs again")
        wait_until(lambda: not Device.objects.get(pk=gpu.pk).set_aside, 60)
        assert set(Device.objects.filter(profile=SMALL).values_list("state", flat=True)) == {"retired"}
    finally:
        agent.stop()
        for job in jobs:
            if job.poll() is None:
                job.terminate()
                job.wait(20)
        sim.stop()
