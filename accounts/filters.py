"""One FilterSet for the page and the API."""

from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import AgencyRole, RoleGrant, User


class PeopleFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Name or e-mail address"), method="search")
    role = django_filters.ChoiceFilter(label=_("Role"), choices=AgencyRole.choices, method="with_role")

    class Meta:
        model = User
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Part of the name or of the address."""
        return queryset.filter(Q(name__icontains=value) | Q(email__icontains=value))

    def with_role(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Through EXISTS: a join would cut the person's other roles off the list."""
        return queryset.filter(Exists(RoleGrant.objects.filter(user=OuterRef("pk"), role=value)))
