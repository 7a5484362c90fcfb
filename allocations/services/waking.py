"""Something became free: whoever waits for that pool is looked at again in the next tick."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from allocations.models import WaitEntry
from cluster.models import Node


def wake_pools_of(node_ids: Iterable[int]) -> None:
    """After the commit: the wait-lists of these nodes' pools are looked at anew."""
    nodes = set(node_ids)
    if nodes:
        _wake_on_commit(allocation__pool__in=Node.objects.filter(pk__in=nodes).values("pool"))


def wake(pool_id: int) -> None:
    """After the commit: the wait-list of this pool is looked at anew."""
    _wake_on_commit(allocation__pool=pool_id)


def locked(rows: QuerySet[WaitEntry]) -> list[int]:
    """The keys of these entries, locked in their order, so that two that write several never wait for each other."""
    return list(rows.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk", flat=True))


def _wake_on_commit(**where: Any) -> None:
    """Not in the caller's transaction: it would hold the whole list until its end."""
    transaction.on_commit(lambda: _wake(**where))


@transaction.atomic
def _wake(**where: Any) -> None:
    keys = locked(WaitEntry.objects.filter(state="waiting", **where))
    if keys:
        WaitEntry.objects.filter(pk__in=keys).update(next_try_at=timezone.now())
