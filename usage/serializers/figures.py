"""Shapes of an organisation's own figures."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from allocations.serializers.usage import UsageSumsSerializer
from usage.serializers.statements import UsageRowSerializer


class FiguresDaySerializer(UsageSumsSerializer):
    """One day (of the site's zone)."""

    day = serializers.DateField()


class OutlookSerializer(serializers.Serializer[Any]):
    """An allocation: what is left, how much went a day lately, when it runs out or what would be left over."""

    allocation = serializers.CharField(source="allocation.public_id")
    project = serializers.CharField(source="allocation.project.public_id")
    granted_seconds = serializers.IntegerField(source="balance.granted")
    held_seconds = serializers.IntegerField(source="balance.held")
    charged_seconds = serializers.IntegerField(source="balance.charged")
    left_seconds = serializers.IntegerField(source="balance.left")
    pace_seconds_a_day = serializers.IntegerField(source="forecast.pace_seconds_a_day")
    runs_out_at = serializers.DateTimeField(source="forecast.runs_out_at", allow_null=True)
    unused_seconds = serializers.IntegerField(source="forecast.unused_seconds", allow_null=True)
    valid_until = serializers.DateTimeField(source="allocation.valid_until")


class FactSerializer(serializers.Serializer[Any]):
    """Something that was measured."""

    name = serializers.CharField()
    value = serializers.FloatField()
    unit = serializers.CharField(help_text="%, MB/s, GPU or h")


class HintSerializer(serializers.Serializer[Any]):
    """What was seen of a reservation, what it rests on, and how to mend it."""

    kind = serializers.CharField(help_text="hung, few, loading, parked, idle, waiting or plain")
    lease = serializers.CharField(source="lease.public_id")
    device_seconds = serializers.IntegerField(source="seconds", help_text="that the hint is about")
    measured_device_seconds = serializers.IntegerField(source="measured_seconds")
    title = serializers.CharField()
    facts = FactSerializer(many=True)
    threshold = serializers.CharField()
    mend = serializers.CharField()


class HintsSerializer(serializers.Serializer[Any]):
    """The weightiest first."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    rows = HintSerializer(many=True)
    left_out = serializers.IntegerField(help_text="reservations that were not looked at, because there are too many")


@extend_schema_serializer(component_name="OrganisationFigures")  # the board of capacity has figures, too
class OrganisationFiguresSerializer(serializers.Serializer[Any]):
    """What an organisation holds, what becomes of it, how long it lasts, what it could make more of."""

    organisation = serializers.CharField(source="organisation.public_id")
    since = serializers.DateField()
    until = serializers.DateField(help_text="included")
    decided_until = serializers.DateTimeField(allow_null=True, help_text="later hours are not in the sums")
    total = UsageSumsSerializer()
    days = FiguresDaySerializer(many=True)
    projects = UsageRowSerializer(many=True)
    people = UsageRowSerializer(many=True)
    allocations = OutlookSerializer(many=True, source="outlooks")
    hints = HintsSerializer()


class ProjectUseSerializer(serializers.Serializer[Any]):
    """What a project holds and what was made of it, from its beginning on."""

    project = serializers.CharField(source="project.public_id")
    decided_until = serializers.DateTimeField(allow_null=True, help_text="later hours are not in the sums")
    total = UsageSumsSerializer()
    allocations = OutlookSerializer(many=True, source="outlooks")
