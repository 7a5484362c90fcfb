"""Filters of the machines' lists."""

import django_filters

from cluster.models import Device, Node


class NodeFilter(django_filters.FilterSet):
    """By pool and state."""

    pool = django_filters.CharFilter(field_name="pool__name")

    class Meta:
        model = Node
        fields = ("pool", "state")


class DeviceFilter(django_filters.FilterSet):
    """By node, pool, state and health."""

    node = django_filters.CharFilter(field_name="node__name")
    pool = django_filters.CharFilter(field_name="node__pool__name")

    class Meta:
        model = Device
        fields = ("node", "pool", "state", "health")
