"""One FilterSet for the page and the API."""

import django_filters
from django.utils.translation import gettext_lazy as _

from audit.models import AuditEvent
from common.filters import SinceDayFilter, UntilDayFilter


class AuditFilter(django_filters.FilterSet):
    """`from` and `until` are days in the reader's zone, both included."""

    actor = django_filters.CharFilter(label=_("Actor"), field_name="actor_label", lookup_expr="icontains")
    verb = django_filters.CharFilter(label=_("What happened"), lookup_expr="istartswith")
    target = django_filters.CharFilter(label=_("Object id"), field_name="target_id")

    class Meta:
        model = AuditEvent
        fields: tuple[str, ...] = ()


# `from` is a Python keyword: it cannot be a class attribute by assignment.
AuditFilter.base_filters["from"] = SinceDayFilter(label=_("From"), field_name="at")
AuditFilter.base_filters["until"] = UntilDayFilter(label=_("Until"), field_name="at")
