"""Filters of the machine lists."""

from typing import ClassVar

import django_filters
from django.utils.translation import gettext_lazy as _

from cluster.lifecycle import NODE
from cluster.models import Node, Pool
from common.filters import state_choices


class NodeFilter(django_filters.FilterSet):
    """Nodes by name, pool and state."""

    name = django_filters.CharFilter(label=_("Name"), lookup_expr="icontains")
    pool = django_filters.ModelChoiceFilter(label=_("Pool"), queryset=Pool.objects.all(), to_field_name="public_id")
    state = django_filters.ChoiceFilter(label=_("State"), choices=state_choices(NODE))

    class Meta:
        model = Node
        fields: ClassVar[list[str]] = []
