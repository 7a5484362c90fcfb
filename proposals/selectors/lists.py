"""Calls and proposals as lists show them."""

from collections.abc import Iterable

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone

from cluster.models import GpuClass
from proposals.models import Call, Proposal, ProposalStep


def gpu_classes_of(call: Call) -> QuerySet[GpuClass]:
    """The GPU classes of the pools that a call offers."""
    return GpuClass.objects.filter(pools__calls=call).distinct().order_by("name")


def open_calls(queryset: QuerySet[Call]) -> QuerySet[Call]:
    """Those that take proposals now."""
    now = timezone.now()
    return queryset.filter(Q(closes_at=None) | Q(closes_at__gt=now), published_at__lte=now)


def listed(queryset: QuerySet[Proposal]) -> QuerySet[Proposal]:
    """With what a list shows of each: organisation, agreement, call, `asked_gpus` and `asked_gpu_hours`."""
    return queryset.select_related("organisation", "agreement", "call").annotate(
        asked_gpus=Sum("lines__gpus"), asked_gpu_hours=Sum(F("lines__gpus") * F("lines__hours"))
    )


def with_overdue(queryset: QuerySet[Proposal]) -> QuerySet[Proposal]:
    """With `overdue_since`: when the deadline of its open step passed; None where none has. No statement of its own."""
    late = ProposalStep.objects.at_work().filter(proposal=OuterRef("pk"), due_at__lt=timezone.now())
    return queryset.annotate(overdue_since=Subquery(late.order_by("due_at").values("due_at")[:1]))


def name_of(ref: str) -> str:
    """Number and title of a proposal by its public id, as its own pages call it; the id where there is none."""
    found = Proposal.objects.filter(public_id=ref).values_list("number", "title").first()
    return " · ".join(part for part in found if part) if found else ref


def public_calls() -> QuerySet[Call]:
    """What anybody may read, signed in or not: every call that was published, over or not."""
    return Call.objects.filter(published_at__lte=timezone.now())


def calls_of(proposal_refs: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """(public id, title, address) of the call that each of these proposals answered, by the proposal: one query."""
    rows = Proposal.objects.filter(public_id__in=[ref for ref in proposal_refs if ref]).select_related("call")
    return {row.public_id: (row.call.public_id, row.call.title, row.call.get_absolute_url()) for row in rows}
