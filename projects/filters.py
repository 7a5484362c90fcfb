"""One FilterSet for the page and the API."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from common.filters import LinkFilter, state_choices
from projects.lifecycle import PROGRESS_REPORT
from projects.models import ProgressReport, Project


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


class ProgressFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Title or organisation"), method="search")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(PROGRESS_REPORT))
    project = LinkFilter(label=_("Project"), field_name="project__public_id")

    class Meta:
        model = ProgressReport
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """The project's title and both names of the organisation."""
        return queryset.filter(
            Q(project__title__icontains=value)
            | Q(project__organisation__name_ko__icontains=value)
            | Q(project__organisation__name_en__icontains=value)
        )
