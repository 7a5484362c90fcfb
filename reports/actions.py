"""Which buttons a machine's page shows: what its state allows, to those who may."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_nodes
from cluster.lifecycle import DEVICE, NODE
from cluster.mig import profiles_of
from cluster.models import Device, Node
from cluster.selectors import GONE
from common.errors import Text
from common.permissions import allowed


@dataclass(frozen=True)
class Action:
    """A button that leads to a verb's page."""

    label: Text
    url: str
    grave: bool = False


_Row = tuple[Text, str, Callable[[str], bool], bool]


def _after(table: Any, event: str) -> Callable[[str], bool]:
    return lambda state: bool(table.allows(state, event))


def _not_retired(state: str) -> bool:
    return state != "retired"


NODE_ROWS: tuple[_Row, ...] = (
    (_("Drain"), "node-drain", _after(NODE, "drain"), False),
    (_("Resume"), "node-resume", _after(NODE, "resume"), False),
    (_("Start maintenance"), "node-maintain", _after(NODE, "maintain"), False),
    (_("Announce maintenance"), "node-window", _not_retired, False),
    (_("New join token"), "node-join-token", _not_retired, False),
    (_("Rotate the token"), "node-rotate-token", _not_retired, False),
    (_("Retire"), "node-retire", _after(NODE, "retire"), True),
)
DEVICE_ROWS: tuple[_Row, ...] = (
    (_("Quarantine"), "device-quarantine", _after(DEVICE, "quarantine"), False),
    (
        _("Return to service"),
        "device-return",
        lambda state: state in ("offline", "quarantined", "rma"),  # in use it is the lease that cleans
        False,
    ),
    (_("Send to the vendor"), "device-send-back", _after(DEVICE, "send_back"), False),
    (_("Retire"), "device-retire", _after(DEVICE, "retire"), True),
)


def node_actions(user: Any, node: Node) -> list[Action]:
    """What this person may do with this node now."""
    found = _actions(user, node, NODE_ROWS)
    if found and node.devices.filter(awaiting_confirmation=True).exists():
        found.insert(0, Action(_("Confirm the inventory"), reverse("reports:node-confirm", args=[node.public_id])))
    return found


def device_actions(user: Any, device: Device) -> list[Action]:
    """What this person may do with this device now."""
    found = _actions(user, device, DEVICE_ROWS)
    if found and device.parent_id is None and device.state not in GONE and profiles_of(device.gpu_class.nvml_name):
        address = reverse("reports:device-partition", args=[device.public_id])
        found.insert(-1, Action(_("Cut into MIG instances"), address))  # the last is the grave one
    return found


def _actions(user: Any, row: Any, rows: Iterable[_Row]) -> list[Action]:
    if not allowed(user, may_run_nodes):
        return []
    return [
        Action(label, reverse(f"reports:{name}", args=[row.public_id]), grave)
        for label, name, shown, grave in rows
        if shown(row.state)
    ]
