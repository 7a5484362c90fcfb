"""A node at the portal's door, speaking the protocol by hand."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from cluster.drivers.base import EngineDriver, LeaseOrder
from cluster.models import Device, Node, NodeCommand, Pool
from cluster.services.engine import engine_for
from cluster.services.nodes import register_node
from common.actors import SEED
from tests.factories import PoolFactory

LEASE, LOGIN = "lease-test", "bg-test"
DOOR = {"host": "10.0.0.7", "port": 2222, "host_key": "ssh-ed25519 AAAA"}
H100 = "NVIDIA H100 80GB HBM3"


@dataclass
class Speaker:
    """One enrolled node with `uuids`; nothing is said until a test says it."""

    node: Node
    token: str
    boot_id: str = "boot-1"
    uuids: list[str] = field(default_factory=lambda: [f"GPU-{uuid.uuid4()}" for _ in range(2)])

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """POST JSON (bytes go as they are) below /api/node/v1/ with the node's token."""
        options: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Node {self.token}", **headers}
        client = APIClient(raise_request_exception=True)
        if isinstance(body, bytes):
            return client.generic("POST", f"/api/node/v1/{path}", body, content_type="application/json", **options)
        return client.post(f"/api/node/v1/{path}", body, format="json", **options)

    def get(self, path: str) -> Any:
        """GET with the node's token."""
        return APIClient().get(f"/api/node/v1/{path}", HTTP_AUTHORIZATION=f"Node {self.token}")

    def hello_body(self, **changes: Any) -> dict[str, Any]:
        """A well-formed hello in which every device is clean."""
        devices = [
            {"uuid": each, "index": index, "name": H100, "serial": None, "pci_bus_id": None, "memory_mib": 81_559}
            for index, each in enumerate(self.uuids)
        ]
        said = {"boot_id": self.boot_id, "agent_version": "1", "driver_version": "570", "sent_at": time.time()}
        return {**said, "ssh": DOOR, "devices": devices, "checks": checks(self.uuids), "leases": [], **changes}

    def hello(self, **changes: Any) -> Any:
        """Say hello; it must be taken."""
        answer = self.post("hello/", self.hello_body(**changes))
        assert answer.status_code == 200, answer.content
        self.node.refresh_from_db()
        return answer.data

    def heartbeat(self, **changes: Any) -> Any:
        """A sign of life; it must be taken."""
        answer = self.post("heartbeat/", {"boot_id": self.boot_id, "sent_at": time.time(), **changes})
        assert answer.status_code == 200, answer.content
        self.node.refresh_from_db()
        return answer.data

    def answer(self, command: NodeCommand, outcome: str = "done", **changes: Any) -> Any:
        """The answer to a command, with everything that its verb asks for."""
        results: dict[str, dict[str, Any]] = {
            "verify": {"checks": checks(self.uuids)},
            "grant": {"login": LOGIN, "granted_at": time.time(), **DOOR},
            "revoke": {"access_gone_at": time.time(), "killed": 1, "remaining": []},
            "reclaim": {"clean": True, "checks": checks(self.uuids)},
        }
        body = {"generation": command.generation, "outcome": outcome, "result": results.get(command.verb, {})}
        return self.post(f"commands/{command.public_id}/result/", {**body, **changes})

    def order(self, verb: str, generation: int = 1) -> NodeCommand:
        """Order a verb for the test's lease; its command."""
        driver: EngineDriver = engine_for(self.node.pool)
        getattr(driver, verb)(self.lease_order(generation), deadline_at=timezone.now() + timedelta(minutes=1))
        return NodeCommand.objects.get(node=self.node, verb=verb, generation=generation)

    def lease_order(self, generation: int = 1) -> LeaseOrder:
        """The test's lease over all devices of the node."""
        now = timezone.now()
        devices = {self.node.name: tuple(self.uuids)}
        return LeaseOrder(LEASE, generation, devices, LOGIN, now, now + timedelta(hours=1))

    def states(self) -> list[str]:
        """The states of the node's devices, by index."""
        return list(Device.objects.filter(node=self.node).order_by("index").values_list("state", flat=True))


def checks(uuids: list[str], *, bad: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Evidence about devices; those in `bad` have not passed."""
    item = {"code": "no_processes", "observed": "none", "expected": "none"}
    return [
        {"uuid": each, "passed": each not in bad, "checks": [{**item, "passed": each not in bad}]} for each in uuids
    ]


def enrol(name: str = "gpu-01", pool: Pool | None = None) -> Speaker:
    """A new node."""
    return Speaker(*register_node(actor=SEED, name=name, pool=pool or PoolFactory()))
