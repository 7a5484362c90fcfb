"""A partner gives idle GPUs back with one click, whether or not a rule has noticed them."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.models import Lease
from allocations.rules import may_end
from allocations.services import ending, reshaping
from allocations.services.steps import lock_lease
from cluster.models import Device
from common.errors import WrongState
from common.permissions import require
from usage.selectors.idle_now import idle_now


@transaction.atomic
def give_back_idle(*, actor: Any, lease: Lease, devices: Sequence[str] = ()) -> Lease:
    """Release these idle devices of a running reservation (public ids; none: all that are idle), all of it where that
    is all that it has. Whoever may end it.

    A repeat (a second click) finds them on their way and changes nothing. WrongState where none of them is idle any
    more; else refused as `release` and `shrink` are.
    """
    lease = lock_lease(lease.pk)
    require(actor, may_end, lease)  # before anything is said of what stands idle
    if _on_their_way(lease, set(devices)):
        return lease
    found = idle_now(lease, timezone.now())
    wanted = set(devices)
    idle: list[Device] = (
        [device for device in found.devices if not wanted or device.public_id in wanted] if found else []
    )
    if found is None or not idle or wanted - {device.public_id for device in idle}:
        raise WrongState(
            _("These GPUs are not idle any more."),
            code="not_idle",
            remedy=_("Reload the page and look again; GPUs in use are given back on the reservation's page."),
        )
    if found.whole and len(idle) == len(found.devices):
        return ending.release(actor=actor, lease=lease)
    reshaping.shrink(actor=actor, lease=lease, devices=idle, reason=_("idle"))
    return lock_lease(lease.pk)


def _on_their_way(lease: Lease, wanted: set[str]) -> bool:
    """Whether a partner has given these back already: all of the reservation, or just these GPUs of it."""
    if lease.end_reason == Lease.EndReason.RELEASED:
        return True
    change = lease.reshapes.under_way().first()
    leaving = set(change.leaving.values_list("device__public_id", flat=True)) if change else set()
    return bool(wanted) and wanted <= leaving
