"""What happened to a device is told to whoever holds it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from allocations.models import Lease, Placement
from allocations.services import telling
from cluster.models import DeviceEvent
from cluster.services.policies import rule_for

HOLDING = ("preparing", "prepare_stuck", "active")
OLD = timedelta(days=1)
"""News of yesterday helps nobody: a node that comes back after days does not flood its partners."""
AT_ONCE = 100


@transaction.atomic
def tell_incidents(now: datetime) -> int:
    """Tell partners of the events that they have not heard of, once a lease and kind; how many were looked at."""
    events = list(
        DeviceEvent.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        .filter(partner_told=False)
        .select_related("device__node")
        .order_by("id")[:AT_ONCE]
    )
    told: set[tuple[int, str, Any]] = set()
    for event in events:
        for lease in _holders(event) if event.at > now - OLD else ():
            key = (lease.pk, event.kind, event.detail.get("xid"))
            if key not in told:
                told.add(key)
                _tell(lease, event)
    DeviceEvent.objects.filter(pk__in=[event.pk for event in events]).update(partner_told=True)
    return len(events)


def _holders(event: DeviceEvent) -> list[Lease]:
    """Whose device it is; of a GPU that is cut up, whoever has a part of it."""
    rows = Placement.objects.filter(
        Q(device=event.device) | Q(board=event.device),
        released=False,
        lease__state__in=HOLDING,
        window__contains=event.at,
    ).select_related("lease__allocation__project__organisation", "lease__allocation__pool", "lease__booked_by")
    return [row.lease for row in rows.order_by("pk") if row.lease] if event.device else []


def _tell(lease: Lease, event: DeviceEvent) -> None:
    gpu = str(event.device) if event.device else ""
    if event.kind == "xid":
        rule = rule_for(int(event.detail["xid"]))
        serious = rule.level in ("drain", "fail")
        telling.tell_partner(
            lease, "device_xid", gpu=gpu, xid=event.detail["xid"], meaning=rule.meaning, serious=serious
        )
    else:
        telling.tell_partner(lease, "device_lost", gpu=gpu)
