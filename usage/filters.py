"""Filters that the pages and the API share."""

from typing import Any, ClassVar

import django_filters
from django.forms.widgets import DateInput
from django.utils.translation import gettext_lazy as _

from cluster.models import Pool
from common.filters import LinkFilter, SinceDayFilter, UntilDayFilter, state_choices
from partners.models import Organisation
from usage.lifecycle import IDLE_CASE, IDLE_RULE
from usage.models import IdleCase, IdleRule, Statement


def _organisations(request: Any) -> Any:
    return Organisation.objects.visible_to(request.user) if request else Organisation.objects.none()


def _day() -> DateInput:
    return DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


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


class StatementFilter(django_filters.FilterSet):
    """Statements by number, organisation and month."""

    number = django_filters.CharFilter(label=_("Number"), lookup_expr="istartswith")
    organisation = django_filters.ModelChoiceFilter(
        label=_("Organisation"), queryset=_organisations, to_field_name="public_id"
    )
    since = django_filters.DateFilter(label=_("From"), field_name="month", lookup_expr="gte", widget=_day())
    until = django_filters.DateFilter(label=_("Until"), field_name="month", lookup_expr="lte", widget=_day())

    class Meta:
        model = Statement
        fields: ClassVar[list[str]] = []
