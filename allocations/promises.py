"""Whom it would hit: the reservations that count on devices which an operator wants to take out of service."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from allocations.lifecycle import COMING
from allocations.models import Lease, Placement

RUNNING = ("preparing", "prepare_stuck", "active")
RETURNING = ("draining", "reclaiming", "reclaim_stuck")


@dataclass(frozen=True)
class Promise:
    """A lease and those of its open placements that are asked about, in device order."""

    lease: Lease
    placements: list[Placement]

    @property
    def scheduled(self) -> bool:
        """Not begun: its placements can be moved to other devices."""
        return self.lease.state in COMING

    @property
    def running(self) -> bool:
        """Being prepared or in use: it can only be ended."""
        return self.lease.state in RUNNING

    @property
    def facts(self) -> dict[str, Any]:
        """What the API and the audit log say of it."""
        return {
            "lease": self.lease.public_id,
            "state": self.lease.state,
            "organisation": self.lease.allocation.project.organisation.name,
            "starts_at": self.lease.starts_at.isoformat(),
            "ends_at": self.lease.ends_at.isoformat(),
            "devices": [placement.device.public_id for placement in self.placements],
        }


def devices_in_work(device_ids: Iterable[int]) -> set[int]:
    """Those that a begun lease has not given back: it decides when they are clean, no report of the node's does."""
    held = Placement.objects.filter(device_id__in=list(device_ids), released=False, lease__isnull=False)
    rows = held.exclude(lease__state__in=COMING)
    return set(rows.values_list("device_id", flat=True))


def promises_on(
    device_ids: Iterable[int], *, since: datetime | None = None, until: datetime | None = None
) -> list[Promise]:
    """Leases with an open placement on these devices, those that begin first before the others: one query.

    `since` and `until` narrow it to placements that take their device somewhere in [since, until).
    """
    narrowed = Q(window__overlap=(since, until)) if since or until else Q()
    rows = (
        Placement.objects.filter(narrowed, device_id__in=list(device_ids), released=False, lease__isnull=False)
        .select_related("device__node", "lease__allocation__project__organisation", "lease__allocation__pool")
        .order_by("lease__starts_at", "lease_id", "device_id")
    )
    found: dict[int, Promise] = {}
    for row in rows:
        assert row.lease is not None
        found.setdefault(row.lease.pk, Promise(row.lease, [])).placements.append(row)
    return list(found.values())
