"""The nodes' side of a lease, for tests: results of real outbox rows."""

from typing import Any

from django.utils import timezone

from allocations.models import Lease
from allocations.services.reconcile import reconcile_lease
from cluster.models import Grant, NodeCommand


def pending(lease: Lease, verb: str) -> list[NodeCommand]:
    """Commands of this verb that wait."""
    return list(NodeCommand.objects.filter(lease_ref=lease.public_id, verb=verb, state="pending").order_by("id"))
