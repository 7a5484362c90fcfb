"""Whether organisations may share a node of a pool."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from allocations.models import Placement
from audit import services as audit
from cluster.models import Pool
from common.errors import RuleBroken
from common.permissions import require


def share_nodes(*, actor: Any, pool: Pool, shared: bool, reason: str) -> Pool:
    """Let organisations share the pool's nodes, or lend each node to one at a time again. Operators only.

    It holds for what is placed already too. RuleBroken, naming how many, where two organisations share a node now or
    have booked to: those reservations must end or be moved first.
    """
    try:
        return _share_nodes(actor, pool, shared, reason)
    except IntegrityError as error:
        if getattr(error.__cause__, "pgcode", "") != "23P01":
            raise
    raise RuleBroken(
        _("Two organisations share a node of this pool now, or have booked to."),
        code="nodes_are_shared",
        remedy=_("Wait until those reservations have ended, or take them back first."),
        field="shared",
    )


@transaction.atomic
def _share_nodes(actor: Any, pool: Pool, shared: bool, reason: str) -> Pool:
    require(actor, may_run_nodes)
    pool = Pool.objects.select_for_update(no_key=True).get(pk=pool.pk)  # bookings hold it FOR SHARE while they place
    before, pool.shared_nodes = pool.shared_nodes, shared
    pool.save(update_fields=["shared_nodes"])
    Placement.objects.filter(released=False, node__pool=pool).update(shared=shared)
    changes = {"shared_nodes": [before, shared], "reason": reason}
    audit.record(actor=actor, verb="pool.share_nodes", target=pool, changes=changes)
    return pool
