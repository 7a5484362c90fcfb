"""One FilterSet for the page and the API."""

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from common.filters import LinkFilter, state_choices
from partners.lifecycle import AGREEMENT, AMENDMENT
from partners.models import (
    Agreement,
    Amendment,
    Contact,
    Department,
    Obligation,
    Organisation,
    Relation,
    Shareholder,
)

_DAY = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class OrganisationFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Name or number"), method="search")
    kind = django_filters.ChoiceFilter(label=_("Kind"), choices=Organisation.Kind.choices)
    size = django_filters.ChoiceFilter(label=_("Company size"), choices=Organisation.Size.choices)
    region = django_filters.ChoiceFilter(label=_("Region"), choices=Organisation.Region.choices)

    class Meta:
        model = Organisation
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Both names, and the registration number with or without hyphens."""
        digits = value.replace("-", "")
        query = Q(name_ko__icontains=value) | Q(name_en__icontains=value)
        return queryset.filter(query | Q(registration_number__startswith=digits) if digits.isdigit() else query)


class AgreementFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(label=_("Number, title or organisation"), method="search")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(AGREEMENT))
    organisation = LinkFilter(label=_("Organisation"), field_name="organisation__public_id")
    until = django_filters.DateFilter(
        label=_("Ends on or before"), field_name="valid_until", lookup_expr="lte", widget=_DAY
    )

    class Meta:
        model = Agreement
        fields: tuple[str, ...] = ()

    def search(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Number, title and both names of the organisation."""
        return queryset.filter(
            Q(number__icontains=value)
            | Q(title__icontains=value)
            | Q(organisation__name_ko__icontains=value)
            | Q(organisation__name_en__icontains=value)
        )


class AmendmentFilter(django_filters.FilterSet):
    agreement = LinkFilter(label=_("Agreement"), field_name="agreement__public_id")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(AMENDMENT))

    class Meta:
        model = Amendment
        fields: tuple[str, ...] = ()


class ObligationFilter(django_filters.FilterSet):
    agreement = LinkFilter(label=_("Agreement"), field_name="agreement__public_id")
    organisation = LinkFilter(label=_("Organisation"), field_name="agreement__organisation__public_id")
    open = django_filters.BooleanFilter(label=_("Open"), field_name="done_on", lookup_expr="isnull")
    due_until = django_filters.DateFilter(label=_("Due on or before"), field_name="due_on", lookup_expr="lte")

    class Meta:
        model = Obligation
        fields: tuple[str, ...] = ()


class ShareholderFilter(django_filters.FilterSet):
    organisation = LinkFilter(label=_("Organisation"), field_name="organisation__public_id")

    class Meta:
        model = Shareholder
        fields: tuple[str, ...] = ()


class ContactFilter(django_filters.FilterSet):
    organisation = LinkFilter(label=_("Organisation"), field_name="organisation__public_id")

    class Meta:
        model = Contact
        fields: tuple[str, ...] = ()


class DepartmentFilter(django_filters.FilterSet):
    organisation = LinkFilter(label=_("Organisation"), field_name="organisation__public_id")

    class Meta:
        model = Department
        fields: tuple[str, ...] = ()


class RelationFilter(django_filters.FilterSet):
    organisation = django_filters.CharFilter(label=_("Organisation"), method="either_end")

    class Meta:
        model = Relation
        fields: tuple[str, ...] = ()

    def either_end(self, queryset: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Whichever of the two it is."""
        return queryset.filter(Q(organisation__public_id=value) | Q(other__public_id=value))
