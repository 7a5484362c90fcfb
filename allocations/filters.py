"""Filters that the pages and the API share."""

from typing import ClassVar

import django_filters
from django.utils.translation import gettext_lazy as _

from allocations.lifecycle import ADJUSTMENT, ALLOCATION, LEASE, WAIT
from allocations.models import Adjustment, Allocation, Lease, PoolWeight, WaitEntry
from cluster.models import Pool
from common.filters import LinkFilter, SinceDayFilter, UntilDayFilter, state_choices


class AllocationFilter(django_filters.FilterSet):
    """Allocations by project, pool and state."""

    project = django_filters.CharFilter(label=_("Project"), field_name="project__title", lookup_expr="icontains")
    pool = django_filters.ModelChoiceFilter(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(ALLOCATION))

    class Meta:
        model = Allocation
        fields: ClassVar[list[str]] = []


class LeaseFilter(django_filters.FilterSet):
    """Reservations by state, allocation, and the days that they touch (in the reader's zone)."""

    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(LEASE))
    allocation = LinkFilter(label=_("Allocation"), field_name="allocation__public_id")
    since = SinceDayFilter(label=_("From"), field_name="ends_at")
    until = UntilDayFilter(label=_("Until"), field_name="starts_at")

    class Meta:
        model = Lease
        fields: ClassVar[list[str]] = []


class WaitEntryFilter(django_filters.FilterSet):
    """Entries of the wait-list by pool and state: places are counted among what is left, so by nothing else."""

    pool = django_filters.ModelChoiceFilter(
        label=_("Pool"), field_name="allocation__pool", queryset=Pool.objects.all(), to_field_name="public_id"
    )
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(WAIT))

    class Meta:
        model = WaitEntry
        fields: ClassVar[list[str]] = []


class WeightFilter(django_filters.FilterSet):
    """Weights by pool."""

    pool = django_filters.ModelChoiceFilter(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")

    class Meta:
        model = PoolWeight
        fields: ClassVar[list[str]] = []


class AdjustmentFilter(django_filters.FilterSet):
    """Adjustments by state and allocation, and the days on which they were proposed (in the reader's zone)."""

    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(ADJUSTMENT))
    allocation = LinkFilter(label=_("Allocation"), field_name="allocation__public_id")
    since = SinceDayFilter(label=_("From"), field_name="proposed_at")
    until = UntilDayFilter(label=_("Until"), field_name="proposed_at")

    class Meta:
        model = Adjustment
        fields: ClassVar[list[str]] = []
