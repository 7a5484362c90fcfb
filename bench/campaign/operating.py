"""The operator of the campaign: brings mended devices back and tries stuck returns again, through the services."""

from collections import Counter
from typing import Any

from bench.campaign.machines import NodeUnderTest
from simulator import faults
from simulator.recovery import ResetRefused


class Operator:
    """A person with the operator's role. `round` does what a person would do on looking."""

    def __init__(self) -> None:
        from accounts.models import RoleGrant, User

        self._user = User.objects.create_user("operator@bench.invalid", name="Operator")
        RoleGrant.objects.create(user=self._user, role="operator")
        self.done: Counter[str] = Counter()

    def round(self, nodes: dict[str, NodeUnderTest]) -> None:
        """Stuck returns that wait for people, then devices out of service, where the driver shows no fault there."""
        from allocations.models import Lease
        from allocations.services import operating, reclaiming
        from cluster.models import Device

        for lease in Lease.objects.filter(state="reclaim_stuck", retry_at=None):
            rows = [row.device for row in lease.placements.select_related("device__node").filter(released=False)]
            if all(self._is_mended(nodes, device) for device in rows):
                self._try("retry", lambda lease=lease: reclaiming.retry(actor=self._user, lease=lease))
        held = Lease.objects.filter(state="reclaim_stuck").values("placements__device")
        waiting = Device.objects.filter(state__in=("quarantined", "offline")).exclude(pk__in=held)
        for device in waiting.select_related("node"):
            if self._is_mended(nodes, device):
                self._try(
                    "return",
                    lambda device=device: operating.return_device(actor=self._user, device=device, reason="mended"),
                )

    def _try(self, name: str, verb: Any) -> None:
        from common.errors import DomainError

        try:
            verb()
            self.done[name] += 1
        except DomainError as error:
            self.done[f"{name} refused: {error.code}"] += 1

    @staticmethod
    def _is_mended(nodes: dict[str, NodeUnderTest], device: Any) -> bool:
        """No fault on it, and reset: its counters start at nothing, as after a repair."""
        node = nodes[device.node.name]
        gpu = node.sim.uuids.index(device.uuid)
        if any(fault["gpu"] in (None, gpu) for fault in faults.listing(node.sim.state.view)):
            return False
        try:
            node.sim.reset(gpu)
        except ResetRefused:
            return False
        return True
