"""What lies behind a cell of the board: who was promised, who has booked, what is closed or ill."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from allocations.models import Envelope, Lease
from allocations.selectors.envelopes import Shortfall, shortfalls
from cluster.models import Device, MaintenanceWindow
from cluster.selectors import WELL, maintenance_between
from reports.scenario import Claim
from reports.selectors.board import Scope
from reports.selectors.what_if import claims_between

MOST_NAMED = 200


@dataclass(frozen=True)
class Details:
    """The rows behind a stretch of the board, the first of each; the totals count all of them."""

    claims: list[Claim]
    claims_total: int
    leases: list[Any]
    leases_total: int
    windows: list[MaintenanceWindow]
    ill: list[Device]
    ill_total: int


def details(scope: Scope) -> Details:
    """Everything that counts there, in a fixed number of queries. Leases have `gpus`: how many they hold then."""
    pools = [pool.pk for pool in scope.pools]
    claims = claims_between(scope.pools, scope.start, scope.end)
    placed = Q(
        placements__released=False,
        placements__window__overlap=(scope.start, scope.end),
        placements__node__pool__in=pools,
    )
    leases = Lease.objects.filter(placed).annotate(gpus=Count("placements", distinct=True))
    named = leases.select_related("allocation__project__organisation", "allocation__pool")
    windows = maintenance_between(scope.start, scope.end).filter(node__pool__in=pools)
    ill = Device.objects.filter(~WELL, node__pool__in=pools, parent=None).exclude(state="retired")
    return Details(
        claims=claims[:MOST_NAMED],
        claims_total=len(claims),
        leases=list(named.order_by("starts_at", "public_id")[:MOST_NAMED]),
        leases_total=leases.count(),
        windows=list(windows.select_related("node__pool").order_by("starts_at", "pk")[:MOST_NAMED]),
        ill=list(ill.select_related("node__pool").order_by("node__name", "index")[:MOST_NAMED]),
        ill_total=ill.count(),
    )


def broken_promises(scope: Scope, now: datetime) -> list[Shortfall]:
    """Guarantees of these pools that cannot be kept in the board's days, from now on: two queries."""
    return shortfalls(Envelope.objects.filter(pool__in=scope.pools), max(scope.start, now), scope.end)
