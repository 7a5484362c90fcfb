"""One FilterSet for the page and the API."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from projects.models import Project


class ProjectFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Title or organisation"), method="search")

    class Meta:
        model = Project
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """The title and both names of the organisation."""
        return queryset.filter(
            Q(title__icontains=value)
            | Q(organisation__name_ko__icontains=value)
            | Q(organisation__name_en__icontains=value)
        )
