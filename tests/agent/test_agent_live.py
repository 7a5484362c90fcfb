"""The whole agent, as it really runs, against the real portal over HTTP: a simulated node from hello to reclaim."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from agent.host.processes import mark_of
from agent.portal_client import PortalClient
from agent.spool import Spool
from cluster.drivers.base import LeaseOrder
from cluster.models import Device, DeviceEvent, Grant, Node
from cluster.selectors import grants_of
from cluster.services import certificates, signing
from cluster.services.engine import engine_for
from cluster.services.nodes import register_node
from common.actors import SystemActor
from common.signatures import read_keys, succeed
from telemetry.models import Sample
from tests.agent.running import RunningAgent, start_agent, wait_until_gone
from tests.factories.accounts import UserFactory
from tests.factories.cluster import PoolFactory
from tests.simulator.nodes import SimulatedNode, start_node, wait_until

# Naming every app makes the clean-up TRUNCATE ... CASCADE: a table of another package points at our users.
EVERY_APP = [app.name for app in apps.get_app_configs()]
pytestmark = [
    pytest.mark.django_db(transaction=True, available_apps=EVERY_APP),
    pytest.mark.xdist_group("agent-live"),
]
NO_BROKER = "redis://127.0.0.1:9/0"
LEASE, LOGIN = "L-LIVE", "bg-live"


class Site:
    """A portal, a pool, a node with its agent."""

    def __init__(self, folder: Path, url: str, sim: SimulatedNode, redis_url: str, pace: float) -> None:
        self.sim, self.url, self.pool = sim, url, PoolFactory()
        self.node, token = register_node(actor=SystemActor("test"), name="gpu-01", pool=self.pool)
        self.agent: RunningAgent = start_agent(folder, url, token, sim, redis_url, heartbeat_seconds=pace)
        self.agent.wait_for_hello()
        wait_until(lambda: Device.objects.filter(state="available").count() == 4, 60)
        self.uuids = tuple(Device.objects.order_by("index").values_list("uuid", flat=True)[:2])

    def order(self, generation: int, *, seconds: float = 600) -> LeaseOrder:
        """The test's lease over two devices."""
        now = timezone.now()
        return LeaseOrder(LEASE, generation, {"gpu-01": self.uuids}, LOGIN, now, now + timedelta(seconds=seconds))

    def step(self, verb: str, order: LeaseOrder) -> Any:
        """Order a verb and wait for its end."""
        engine: Any = engine_for(self.pool)
        getattr(engine, verb)(order, deadline_at=timezone.now() + timedelta(seconds=60))
        wait_until(lambda: engine.observe(order)[verb].state != "waiting", 60)
        step = engine.observe(order)[verb]
        assert step.state == "done", step.failures
        return step

    def session(self, act: Callable[[asyncssh.SSHClientConnection], Any]) -> Any:
        """Let a user with a certificate of the portal do something over SSH."""
        grant, key = grants_of(LEASE).get(), Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        certificate = certificates.issue(
            actor=SystemActor("test"),
            grant=grant,
            user=UserFactory(),
            public_key=public.decode(),
            valid_before=timezone.now() + timedelta(minutes=10),
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        keys = [(asyncssh.import_private_key(private), asyncssh.import_certificate(certificate.certificate))]
        return asyncio.run(_use(grant.host, grant.port, grant.host_key, keys, act))


async def _use(host: str, port: int, host_key: str, keys: Any, act: Any) -> Any:
    known = ([asyncssh.import_public_key(host_key)], [], [])
    options: Any = {"username": LOGIN, "client_keys": keys, "known_hosts": known, "agent_path": None, "config": None}
    async with asyncssh.connect(host, port, **options) as client:
        return await act(client)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[SimulatedNode]:
    served = start_node(tmp_path, count=4)
    yield served
    served.stop()


@pytest.fixture
def make_site(tmp_path: Path, live_server: Any, sim: SimulatedNode) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(redis_url: str, heartbeat_seconds: float = 0.5) -> Site:
        made.append(Site(tmp_path, live_server.url, sim, redis_url, heartbeat_seconds))
        return made[-1]

    yield make
    for site in made:
        site.agent.stop()


def test_a_lease_from_verify_to_reclaim_with_no_broker(make_site: Callable[..., Site]) -> None:
    site = make_site(NO_BROKER)
    site.step("verify", site.order(1))
    site.step("grant", site.order(1))

    async def work(client: asyncssh.SSHClientConnection) -> tuple[str, int]:
        command = "python -m simulator run --state $NVML_SIM_STATE --gpu 0,1 --mem 40000 -- sleep 600"
        await client.create_process(f"nohup {command} >job.log 2>&1 & echo started", stdin=asyncssh.DEVNULL)
        said = await client.run("echo $CUDA_VISIBLE_DEVICES; pwd")
        await asyncio.to_thread(wait_until, site.sim.brain.processes)
        return str(said.stdout), site.sim.brain.processes()[0].pid

    said, job = site.session(work)
    assert said.split() == [",".join(site.uuids), str(site.agent.sandbox / "homes" / LOGIN)]
    wait_until(lambda: Sample.objects.filter(process_count=1).count() >= 2, 60)
    site.step("extend", site.order(2, seconds=1200))
    site.step("revoke", site.order(3))
    wait_until_gone(job)
    assert Grant.objects.get().revoked_at is not None
    assert all(report.passed for report in site.step("reclaim", site.order(3)).reports)


def test_the_broker_brings_commands_when_no_heartbeat_does(make_site: Callable[..., Site]) -> None:
    site = make_site(settings.CELERY_BROKER_URL, heartbeat_seconds=3600)
    site.step("verify", site.order(1))
    site.step("grant", site.order(1))
    killed = site.agent.kill("worker")
    wait_until(lambda: site.agent.pids.get("worker") not in (None, killed))
    site.step("revoke", site.order(2))


def change_the_key(settings: Any) -> None:
    """As scripts/change_key.py does it, and a new start of the portal."""
    words = [base64.b64encode(settings.NODE_SIGNING_KEY).decode()]
    successor = Ed25519PrivateKey.generate().private_bytes_raw()
    settings.NODE_SIGNING_KEY, settings.EARLIER_SIGNING_KEYS = read_keys(succeed(words, successor, endorsed=True))


def test_the_node_follows_a_new_key_and_ends_access_by_its_own_clock_and_tells(
    make_site: Callable[..., Site], settings: Any
) -> None:
    site = make_site(NO_BROKER)
    change_the_key(settings)
    site.step("grant", site.order(1, seconds=6))
    assert site.agent.journal.fact("signing_key") == signing.public_key()
    assert not DeviceEvent.objects.filter(kind="command_refused").exists()
    killed = site.agent.kill("keeper")
    wait_until(lambda: site.agent.pids.get("keeper") not in (None, killed))
    wait_until(lambda: Grant.objects.get().revoked_at is not None, 60)
    assert site.agent.journal.open_leases() == []


def test_xids_are_told_and_stopping_leaves_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(NO_BROKER)
    wait_until(Sample.objects.exists, 60)
    site.sim.fault("xid", gpu=0, code=79)
    wait_until(lambda: DeviceEvent.objects.filter(kind="xid").exists(), 60)
    marks = {"BITGOEUL_LEASE": LEASE, "BITGOEUL_NODE": mark_of("gpu-01", site.agent.sandbox)}
    tenant = subprocess.Popen(["sleep", "600"], env={**os.environ, **marks}, start_new_session=True)
    pids = list(site.agent.pids.values())
    site.agent.stop()
    assert tenant.wait(10) == -signal.SIGTERM
    for pid in pids:
        wait_until_gone(pid)
    assert site.agent.process.returncode == 0


def test_an_hour_without_the_portal_loses_nothing_and_counts_nothing_twice(make_site: Callable[..., Site]) -> None:
    site = make_site(NO_BROKER)
    wait_until(Sample.objects.exists, 60)
    uuid, now = site.uuids[0], time.time()
    away = Spool(site.agent.sandbox / "state" / "spool", site.agent.journal, 720)
    os.kill(site.agent.pids["sampler"], signal.SIGSTOP)  # it does not touch the spool while an hour is laid into it
    for turn in range(360):
        away.put([{"uuid": uuid, "at": now - 3700 + 10 * turn, "utilisation_percent": 50}])
    again = away.waiting()[-1].read_bytes()
    os.kill(site.agent.pids["sampler"], signal.SIGCONT)
    wait_until(lambda: not away.waiting(), 120)
    hour = Sample.objects.filter(device__uuid=uuid, utilisation_percent=50)
    assert hour.count() == 360
    answer = PortalClient(site.url, site.agent.sandbox.parent / "token")
    answer.samples(again)
    answer.close()
    assert hour.count() == 360 and not DeviceEvent.objects.filter(kind="samples_dropped").exists()


def test_a_device_that_hangs_is_told_and_the_others_go_on(make_site: Callable[..., Site]) -> None:
    site = make_site(NO_BROKER)
    wait_until(Sample.objects.exists, 60)
    site.sim.fault("nvml_hang", gpu=0, call="nvmlDeviceGetTemperatureV", seconds=600)
    wait_until(lambda: DeviceEvent.objects.filter(kind="nvml_stalled").exists(), 60)
    event = DeviceEvent.objects.get(kind="nvml_stalled")
    assert event.device is not None and event.device.uuid == site.uuids[0]
    assert event.detail == {"call": "nvmlDeviceGetTemperatureV"}
    wait_until(lambda: Device.objects.get(uuid=site.uuids[0]).health_reasons == ["stalled"], 60)
    seen = Sample.objects.filter(device__uuid=site.uuids[1]).count()
    wait_until(lambda: Sample.objects.filter(device__uuid=site.uuids[1]).count() > seen + 1, 60)
    assert Device.objects.get(uuid=site.uuids[1]).health == "ok"
    site.sim.brain.clear()
    wait_until(lambda: DeviceEvent.objects.filter(kind="nvml_answers_again").exists(), 60)
    wait_until(lambda: Device.objects.get(uuid=site.uuids[0]).health == "ok", 60)


def test_a_part_that_stands_still_is_replaced_and_the_portal_hears_of_it(make_site: Callable[..., Site]) -> None:
    site = make_site(NO_BROKER)
    wait_until(Sample.objects.exists, 60)
    stopped, beat = site.agent.pids["sampler"], site.agent.sandbox / "state" / "sampler.beat"
    os.kill(stopped, signal.SIGSTOP)
    os.utime(beat, (time.time() - 600, time.time() - 600))
    wait_until(lambda: site.agent.pids.get("sampler") not in (None, stopped), 60)
    wait_until(lambda: DeviceEvent.objects.filter(kind="part_restarted").exists(), 60)
    assert DeviceEvent.objects.get(kind="part_restarted").detail == {
        "part": "sampler",
        "times": 1,
        "why": "stood still",
    }
    site.node.refresh_from_db()
    health = site.node.agent_health
    assert health["parts"]["sampler"]["restarts"] == 1 and health["memory_mib"] > 20
    assert abs(site.node.clock_skew_seconds) < 1 and abs(health["clock_skew_seconds"]) < 1
    wait_until(lambda: Node.objects.get().agent_health["sampler"].get("cost_p99_us"), 60)
    wait_until(lambda: len(Node.objects.get().agent_health["sampler"]["last_success"]) == 4, 60)
