"""Filters that the pages and the API share."""

from typing import ClassVar

import django_filters
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.filters import LinkFilter, SinceDayFilter, UntilDayFilter, state_choices
from usage.lifecycle import IDLE_CASE, IDLE_RULE
from usage.models import IdleCase, IdleRule


class IdleCaseFilter(django_filters.FilterSet):
    """Cases by state, kind, pool and reservation, and the days on which they were found (in the reader's zone)."""

    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(IDLE_CASE))
    kind = django_filters.ChoiceFilter(label=_("Kind"), choices=IdleCase.Kind.choices)
    pool = django_filters.ModelChoiceFilter(
        label=_("Pool"), field_name="lease__allocation__pool", queryset=Pool.objects.all(), to_field_name="public_id"
    )
    lease = LinkFilter(label=_("Reservation"), field_name="lease__public_id")
    since = SinceDayFilter(label=_("From"), field_name="detected_at")
    until = UntilDayFilter(label=_("Until"), field_name="detected_at")

    class Meta:
        model = IdleCase
        fields: ClassVar[list[str]] = []


class IdleRuleFilter(django_filters.FilterSet):
    """Rules by state and pool."""

    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(IDLE_RULE))
    pool = django_filters.ModelChoiceFilter(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")

    class Meta:
        model = IdleRule
        fields: ClassVar[list[str]] = []
