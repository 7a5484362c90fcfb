"""What lists about reviews can be narrowed to; one FilterSet serves the page and the API."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cluster.models import GpuClass
from common.filters import LinkFilter, YesNoFilter, state_choices
from partners.models import Organisation
from proposals.filters import OfCallFilter, ProposalFilter, named
from proposals.lifecycle import ASSIGNMENT, STEP
from proposals.models import (
    Assignment,
    Attachment,
    Call,
    CallStep,
    Proposal,
    ProposalStep,
    RequestLine,
    ReviewerProfile,
    SearchResult,
)
from proposals.models.steps import IN_REVIEW


class AssignmentFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(ASSIGNMENT))
    call = LinkFilter(field_name="proposal__call__public_id")
    proposal = LinkFilter(field_name="proposal__public_id")
    overdue = YesNoFilter(label=_("Overdue"), method="late")

    class Meta:
        model = Assignment
        fields: tuple[str, ...] = ()

    def late(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Not done past their deadline, or the others."""
        late = Q(state__in=("sent", "open"), due_at__lt=timezone.now())
        return queryset.filter(late) if value else queryset.exclude(late)


class StepFilter(django_filters.FilterSet):
    """Steps: what is open, unless something else is asked for."""

    q = django_filters.CharFilter(label=_("Number, title or organisation"), method="search")
    kind = django_filters.ChoiceFilter(label=_("Step"), choices=CallStep.Kind.choices)
    state = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[("now", _("to be taken now")), *state_choices(STEP)],
        method="by_state",
    )
    overdue = YesNoFilter(label=_("Overdue"), method="late")
    call = LinkFilter(field_name="proposal__call__public_id")
    proposal = LinkFilter(field_name="proposal__public_id")

    class Meta:
        model = ProposalStep
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Number, title and both names of the organisation."""
        return queryset.filter(named(value, "proposal__"))

    def by_state(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """One state, or what is to be taken now."""
        if value == "now":
            return queryset.filter(state="open", proposal__state__in=IN_REVIEW)
        return queryset.filter(state=value)

    def late(self, queryset: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        """Open past their deadline, or the others."""
        late = Q(state="open", due_at__lt=timezone.now(), proposal__state__in=IN_REVIEW)
        return queryset.filter(late) if value else queryset.exclude(late)


class NamedFileFilter(django_filters.FilterSet):
    """Files of blind calls, by what came of looking for names in them."""

    q = django_filters.CharFilter(label=_("Number, title or organisation"), method="search")
    call = OfCallFilter(field_name="proposal__call", queryset=Call.objects.filter(blind=True))
    result = django_filters.ChoiceFilter(label=_("Result"), choices=SearchResult.choices, method="by_result")

    class Meta:
        model = Attachment
        fields: tuple[str, ...] = ()

    search = StepFilter.search

    def by_result(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those for which it came to this."""
        return queryset.with_result(value)  # type: ignore[attr-defined, no-any-return]


class RankingFilter(ProposalFilter):
    """What the ranking of a call can be narrowed to."""

    step = django_filters.ChoiceFilter(label=_("Open step"), choices=CallStep.Kind.choices, method="by_step")
    size = django_filters.ChoiceFilter(
        label=_("Company size"), field_name="organisation__size", choices=Organisation.Size.choices
    )
    region = django_filters.ChoiceFilter(
        label=_("Region"), field_name="organisation__region", choices=Organisation.Region.choices
    )
    gpu_class = django_filters.ModelChoiceFilter(
        label=_("GPU class"), queryset=GpuClass.objects.order_by("name"), to_field_name="code", method="by_class"
    )

    def by_step(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those in which this step is open."""
        return queryset.filter(
            pk__in=ProposalStep.objects.current().filter(kind=value, state="open").values("proposal")
        )

    def by_class(self, queryset: QuerySet[Any], _name: str, value: GpuClass) -> QuerySet[Any]:
        """Those that ask for this GPU class."""
        return queryset.filter(pk__in=RequestLine.objects.filter(gpu_class=value).values("proposal"))


class ReviewerFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Name, address or topic"), method="search")
    purpose = django_filters.ChoiceFilter(
        label=_("Kind of work"), choices=Proposal.Purpose.choices, method="filter_purpose"
    )
    is_available = YesNoFilter(label=_("Can be asked"))

    class Meta:
        model = ReviewerProfile
        fields: tuple[str, ...] = ()

    def filter_purpose(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those who judge this kind of work."""
        return queryset.filter(purposes__contains=[value])

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Name, address, affiliation, topic."""
        return queryset.filter(
            Q(user__name__icontains=value)
            | Q(user__email__icontains=value)
            | Q(affiliation__icontains=value)
            | Q(topics__icontains=value)
        )
