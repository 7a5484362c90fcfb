"""Announced work on nodes. Whoever holds something there then is asked about in allocations."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.models import MaintenanceWindow, Node
from common.errors import RuleBroken, WrongState
from common.permissions import require


@transaction.atomic
def announce(*, actor: Any, node: Node, starts_at: datetime, ends_at: datetime, reason: str) -> MaintenanceWindow:
    """Nothing is placed on the node in [starts_at, ends_at) from now on. Operators only.

    The caller has locked the node's devices, so that no booking slips in between its look and its row.
    """
    require(actor, may_run_nodes)
    if ends_at <= starts_at or ends_at <= timezone.now():
        raise RuleBroken(
            _("The window must end after it begins, and in the future."),
            code="window",
            remedy=_("Please correct the end."),
            field="ends_at",
        )
    if node.state == "retired":
        raise WrongState(_("This node is retired."), code="retired")
    window = MaintenanceWindow.objects.create(
        node=node, starts_at=starts_at, ends_at=ends_at, reason=reason[:200], announced_by=actor.label
    )
    changes = {"window": window.public_id, "starts_at": starts_at, "ends_at": ends_at, "reason": reason}
    record(actor=actor, verb="node.announce_maintenance", target=node, changes=changes)
    return window


@transaction.atomic
def cancel(*, actor: Any, window: MaintenanceWindow, reason: str) -> MaintenanceWindow:
    """The node may be booked in this window after all. Operators only. WrongState when it was cancelled or is over."""
    require(actor, may_run_nodes)
    window = (
        MaintenanceWindow.objects.select_for_update(of=("self",), no_key=True).select_related("node").get(pk=window.pk)
    )
    if window.cancelled_at is not None or window.ends_at <= timezone.now():
        raise WrongState(_("This window is cancelled or over."), code="window_over")
    window.cancelled_at = timezone.now()
    window.save(update_fields=["cancelled_at"])
    changes = {"window": window.public_id, "reason": reason}
    record(actor=actor, verb="node.cancel_maintenance", target=window.node, changes=changes)
    return window
