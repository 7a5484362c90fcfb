"""What a second of a GPU counts on a pool, and from when. Reads only."""

from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Case, Exists, OuterRef, QuerySet, When
from django.db.models.functions import JSONObject

from allocations.charging import Step, Weights, thawed
from allocations.models import Allocation, PoolWeight

_ROW = JSONObject(at="valid_from", weight="weight")


def with_weights(allocations: QuerySet[Allocation]) -> QuerySet[Allocation]:
    """Allocations that bring the weights of their pools along: no query more."""
    rows = PoolWeight.objects.filter(pool=OuterRef("pool"), withdrawn_at=None).order_by("valid_from")
    return allocations.annotate(pool_weights=ArraySubquery(rows.values(row=_ROW)))


def weights_of(allocation: Allocation) -> Weights:
    """What is announced for an allocation's pool now: from `with_weights`, else one query."""
    brought: list[dict[str, Any]] | None = getattr(allocation, "pool_weights", None)
    if brought is not None:
        return thawed([(row["at"], row["weight"]) for row in brought])
    return pool_weights(allocation.pool_id)


def pool_weights(pool_id: int) -> Weights:
    """What is announced for a pool now: one query."""
    rows = PoolWeight.objects.filter(pool=pool_id, withdrawn_at=None).order_by("valid_from")
    return tuple(Step(at, weight) for at, weight in rows.values_list("valid_from", "weight"))


def listed(rows: QuerySet[PoolWeight], now: datetime) -> QuerySet[PoolWeight]:
    """Weights with `begun` and `succeeded`: what `standing` is told from."""
    later = PoolWeight.objects.filter(
        pool=OuterRef("pool"), withdrawn_at=None, valid_from__gt=OuterRef("valid_from"), valid_from__lte=now
    )
    return rows.select_related("pool", "set_by").annotate(
        begun=Case(When(valid_from__lte=now, then=True), default=False, output_field=BooleanField()),
        succeeded=Exists(later),
    )


def standing(row: Any) -> str:
    """Of a `listed` weight: withdrawn, announced, in_force or past."""
    if row.withdrawn_at is not None:
        return "withdrawn"
    if not row.begun:
        return "announced"
    return "past" if row.succeeded else "in_force"
