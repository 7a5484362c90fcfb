"""Prepared decisions as a list shows them."""

from typing import Any

from django.db.models import BooleanField, Case, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from proposals.models import PreparedDecision

OPEN_PREPARED = ("prepared", "approved")


def listed_prepared(queryset: QuerySet[PreparedDecision]) -> QuerySet[PreparedDecision]:
    """With proposal, organisation, call and people, `gpu_seconds` of its lines, and `needs_second`: whether an award
    takes a second person (services/second.py says the same of one).
    """
    large = Q(gpu_seconds__gte=F("proposal__call__two_person_gpu_seconds"))
    needs: Any = Case(
        When(Q(kind="award") & (large | ~Q(override_reason="")), then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    return (
        queryset.select_related("proposal__organisation", "proposal__call", "prepared_by", "approved_by")
        .annotate(gpu_seconds=Coalesce(Sum("lines__gpu_seconds"), 0))
        .annotate(needs_second=needs)
    )


def without_second(queryset: QuerySet[PreparedDecision]) -> QuerySet[PreparedDecision]:
    """Of these (as `listed_prepared` gives them) what takes a second person and has none yet."""
    rows: Any = queryset
    return rows.filter(state="prepared", needs_second=True)  # type: ignore[no-any-return]
