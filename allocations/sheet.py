"""A reservation in plain words: where it stands, how to get in, what each GPU does. Reads only."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from allocations.comparison import Figure, compare, harm
from allocations.models import Lease, Reshape
from allocations.selectors.leases import placements_of
from cluster.models import Device, Grant, Handover
from cluster.selectors import grants_of, handovers_of
from cluster.services.evidence import canonical, entry_of, sign
from cluster.templatetags.evidence import FIGURES

KEEPS_FILES = ("scheduled", "preparing", "prepare_stuck", "active")
"""States in which there is, or will be, a login folder that the end of the lease deletes."""
IN_USE = ("active",)
STEP_OF = {
    "offered": 0,
    "scheduled": 0,
    "cancelled": 0,
    "preparing": 1,
    "prepare_stuck": 1,
    "failed": 1,
    "active": 2,
    "draining": 3,
    "reclaiming": 3,
    "reclaim_stuck": 3,
    "ended": 4,
}
BROKEN_OFF = ("cancelled", "failed")


@dataclass(frozen=True)
class Step:
    """One stop of the progress line; `place` is done, now, ahead or broken."""

    name: str
    place: str
    at: datetime | None


@dataclass(frozen=True)
class Door:
    """How to get in on one node, and how to take one's files along before they are deleted with the login."""

    grant: Grant
    command: str
    fingerprint: str
    known_hosts: str
    copy_command: str


@dataclass(frozen=True)
class HandoverRow:
    """The evidence of one GPU: at the start, at the end; None where it was not taken yet."""

    device: Device
    start: Handover | None
    end: Handover | None

    @property
    def figures(self) -> list[Figure]:
        """Every figure of the two readings, side by side."""
        return compare(_reading(self.start), _reading(self.end), tuple(FIGURES))

    @property
    def harm(self) -> dict[str, list[Any]]:
        """What the reservation left behind on this GPU; see allocations.comparison."""
        return harm(_reading(self.start), _reading(self.end))


def _reading(handover: Handover | None) -> dict[str, Any] | None:
    return handover.reading if handover else None


def steps(lease: Lease) -> list[Step]:
    """The progress line."""
    first = _("offered") if lease.state == "offered" else _("scheduled")
    names = (first, _("preparing"), _("active"), _("returning"), _("ended"))
    moments = (lease.created_at, None, lease.active_at, lease.drained_at, lease.ended_at)
    now = STEP_OF[lease.state]
    line = []
    for number, (name, at) in enumerate(zip(names, moments, strict=True)):
        if number == now:
            place = "broken" if lease.state in BROKEN_OFF else "done" if lease.state == "ended" else "now"
        else:
            place = "done" if number < now else "ahead"
        line.append(Step(name, place, at if number <= now else None))
    return line


def words(lease: Lease) -> str:
    """What happens now, for somebody who does not know the machine room."""
    return {
        "offered": _("The wait-list offers you these GPUs. They are kept for you until you answer or the time is up."),
        "scheduled": _("The GPUs are kept for you. Shortly before the start each one is checked."),
        "preparing": _("Each GPU is being checked and your access is being set up. This page updates by itself."),
        "prepare_stuck": _("Preparing takes longer than usual. The operators see this too; you need to do nothing."),
        "active": _("The GPUs are yours. Access ends by itself at the end of the reservation."),
        "draining": _("The reservation has ended. Your access is being taken away."),
        "reclaiming": _("Your access is gone. The GPUs are being cleaned and checked."),
        "reclaim_stuck": _("The return takes longer than usual. The operators see this too; you need to do nothing."),
        "ended": _("The GPUs are returned and checked, and the hours are settled."),
        "cancelled": _("This reservation was cancelled. The hours it held are back in the allocation."),
        "failed": _("The GPUs could not be handed over. Nothing was charged; please book another window."),
    }[lease.state]


def reshape_words(reshape: Reshape) -> str:
    """What happens with the GPUs of a running reservation, and what one may do meanwhile."""
    return {
        "checking": _("Another GPU is being checked before it takes the place of this one. Everything runs on."),
        "fitting": _("The nodes are changing the access. What runs on the GPUs that stay goes on."),
        "fitting_stuck": _(
            "A node does not answer. It is asked again every five minutes; until then everything stays as it was, and "
            "the operators see it."
        ),
        "cleaning": _("The access has changed. The GPUs that left are being cleaned and checked."),
        "cleaning_stuck": _(
            "The access has changed. A node that was left does not answer; the operators see this, you need to do "
            "nothing."
        ),
    }[reshape.state]


def doors(lease: Lease) -> list[Door]:
    """How to get in, one entry a node; empty unless the reservation is active."""
    if lease.state not in IN_USE:
        return []
    return [_door(grant) for grant in grants_of(lease.public_id) if grant.revoked_at is None]


def _door(grant: Grant) -> Door:
    port = "" if grant.port == 22 else f" -p {grant.port}"
    command = f"ssh -i ~/.ssh/id_ed25519{port} {grant.login}@{grant.host}"
    host = grant.host if grant.port == 22 else f"[{grant.host}]:{grant.port}"
    known = f"{host} {grant.host_key}" if grant.host_key else ""
    # The door has neither scp nor sftp: an archive through the session needs nothing on either side but tar.
    copy = f"{command} tar czf - . > {grant.lease_ref}-{grant.node.name}.tar.gz"
    return Door(grant, command, fingerprint(grant.host_key), known, copy)


def fingerprint(public_key: str) -> str:
    """SHA-256 of an OpenSSH public key as `ssh-keygen -l` prints it; "" where there is no key."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def devices_of(lease: Lease) -> list[Device]:
    """The GPUs of the reservation, in order of node and index."""
    return [placement.device for placement in placements_of(lease)]


def handover_rows(lease: Lease) -> list[HandoverRow]:
    """The newest evidence of each GPU for the start and for the end."""
    found: dict[tuple[int, str], Handover] = {}
    for handover in handovers_of(lease.public_id):
        known = found.get((handover.device_id, handover.moment))
        if known is None or handover.generation > known.generation:
            found[(handover.device_id, handover.moment)] = handover
    return [
        HandoverRow(device, found.get((device.pk, "start")), found.get((device.pk, "end")))
        for device in devices_of(lease)
    ]


def handover_document(lease: Lease) -> dict[str, Any]:
    """The handover sheet as data: what the portal signs. Moments are ISO 8601 in UTC; None: not taken, or not yet."""
    return {
        "format": "bitgoeul-handover-2",
        "lease": lease.public_id,
        "organisation": lease.allocation.project.organisation.name_en,
        "project": lease.allocation.project.title,
        "pool": lease.allocation.pool.name,
        "reserved": [lease.starts_at, lease.ends_at],
        "handed_over_at": lease.active_at,
        "access_gone_at": lease.access_gone_at,
        "returned_at": lease.ended_at,
        "devices": [
            {
                "node": row.device.node.name,
                "index": row.device.index,
                "uuid": row.device.uuid,
                "serial": row.device.serial,
                "gpu_class": row.device.gpu_class.code,
                "start": entry_of(row.start) if row.start else None,
                "end": entry_of(row.end) if row.end else None,
                "harm": row.harm,
            }
            for row in handover_rows(lease)
        ],
    }


def signed_handover(lease: Lease) -> dict[str, Any]:
    """The document with the portal's signature; `manage.py verify_handover` holds it against the audit log."""
    document: dict[str, Any] = json.loads(canonical(handover_document(lease)))
    return sign(document)


def team_of(lease: Lease) -> list[Any]:
    """The project's people who may get in."""
    return [member for member in lease.allocation.project.team.select_related("user") if member.user.is_active]
