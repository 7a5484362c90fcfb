"""One FilterSet for the page and the API."""

import django_filters
from django import forms
from django.utils.translation import gettext_lazy as _

from audit.models import AuditEvent


class AuditFilter(django_filters.FilterSet):
    """`from` and `until` are days in the reader's zone, both included."""

    actor = django_filters.CharFilter(label=_("Actor"), field_name="actor_label", lookup_expr="icontains")
    verb = django_filters.CharFilter(label=_("What happened"), lookup_expr="istartswith")
    target = django_filters.CharFilter(label=_("Object id"), field_name="target_id")

    class Meta:
        model = AuditEvent
        fields: tuple[str, ...] = ()


_DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
# `from` is a Python keyword: it cannot be a class attribute by assignment.
AuditFilter.base_filters["from"] = django_filters.DateFilter(
    label=_("From"), field_name="at", lookup_expr="date__gte", widget=_DAY
)
AuditFilter.base_filters["until"] = django_filters.DateFilter(
    label=_("Until"), field_name="at", lookup_expr="date__lte", widget=_DAY
)
