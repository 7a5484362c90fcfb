"""Who is told what about a lease."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from allocations.models import Lease
from common.quantities import seconds_to_hours
from notifications.services import notify
from partners.selectors import operators


def local(moment: datetime) -> str:
    """A moment in the reader's zone, as the pages write it: 2026-11-23 14:00 KST."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M %Z")


def tell_booker(lease: Lease, event: str, **context: Any) -> None:
    """Tell whoever booked it."""
    _tell(lease, event, [lease.booked_by], context)


def tell_partner(lease: Lease, event: str, **context: Any) -> None:
    """Tell whoever booked it and the leads of the project: one query."""
    leads = Q(project_memberships__project_id=lease.allocation.project_id, project_memberships__is_lead=True)
    _tell(lease, event, User.objects.filter(leads | Q(pk=lease.booked_by_id)).distinct(), context)


def tell_operators(lease: Lease, event: str, **context: Any) -> None:
    """Tell the data centre: one query."""
    _tell(lease, event, operators(), context)


def _tell(lease: Lease, event: str, recipients: Iterable[User], context: dict[str, Any]) -> None:
    values = {
        "lease": lease.public_id,
        "project": lease.allocation.project.title,
        "pool": lease.allocation.pool.name,
        "devices": lease.device_count,
        "profile": lease.profile,
        "starts_at": local(lease.starts_at),
        "ends_at": local(lease.drained_at or lease.ends_at),
        "reason": lease.state_reason,
        "end_reason": lease.end_reason,
        "notice_until": local(lease.charged_until) if _charges_notice(lease) and lease.charged_until else "",
        "returned_percent": lease.returned_percent,
    }
    if "charged" in context:
        context["charged_hours"] = seconds_to_hours(context.pop("charged"))
    if context.get("credited"):
        context["credited_hours"] = seconds_to_hours(context.pop("credited"))
    if "returned" in context:
        context["returned_hours"] = seconds_to_hours(context.pop("returned"))
    notify(recipients=recipients, event=event, context=values | context, url=lease.get_absolute_url())


def _charges_notice(lease: Lease) -> bool:
    used_until = lease.drained_at or lease.starts_at
    return lease.charged_until is not None and lease.charged_until > used_until
