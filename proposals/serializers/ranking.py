"""The ranking and the progress of a call, to the API."""

from typing import Any

from rest_framework import serializers


class SpreadSerializer(serializers.Serializer):
    """Of the submitted reviews, 0 to 100."""

    count = serializers.IntegerField()
    mean = serializers.DecimalField(max_digits=6, decimal_places=3)
    deviation = serializers.DecimalField(max_digits=6, decimal_places=3)
    low = serializers.DecimalField(max_digits=6, decimal_places=3)
    high = serializers.DecimalField(max_digits=6, decimal_places=3)
    range = serializers.DecimalField(max_digits=6, decimal_places=3)


class RankRowSerializer(serializers.Serializer):
    """`asked_seconds` are device-seconds; `is_within`: the budget reaches so far down the ranking."""

    id = serializers.CharField(source="public_id")
    number = serializers.CharField()
    title = serializers.CharField()
    organisation = serializers.CharField()
    state = serializers.CharField()
    step = serializers.CharField()
    rank = serializers.IntegerField(allow_null=True)
    scores = SpreadSerializer(allow_null=True)
    needed = serializers.IntegerField()
    asked_gpus = serializers.IntegerField()
    asked_seconds = serializers.IntegerField()
    is_within = serializers.BooleanField()
    by_criterion = serializers.SerializerMethodField()

    def get_by_criterion(self, row: Any) -> dict[str, str]:
        """Place of the criterion -> mean of the points."""
        return {str(place): f"{mean:.3f}" for place, mean in sorted(row.by_criterion.items())}


class RankingSerializer(serializers.Serializer):
    """`total`: those with a score that are not refused; `budget_seconds` null: some pools have no limit."""

    within = serializers.IntegerField()
    total = serializers.IntegerField()
    budget_seconds = serializers.IntegerField(allow_null=True)
    rows = RankRowSerializer(many=True)


class StepCountSerializer(serializers.Serializer):
    kind = serializers.CharField()
    due_at = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    overdue = serializers.IntegerField()


class ReviewerCountSerializer(serializers.Serializer):
    name = serializers.CharField()
    asked = serializers.IntegerField()
    undeclared = serializers.IntegerField()
    done = serializers.IntegerField()
    overdue = serializers.IntegerField()


class ProgressSerializer(serializers.Serializer):
    steps = StepCountSerializer(many=True)
    reviewers = ReviewerCountSerializer(many=True)


class PlanSerializer(serializers.Serializer):
    """`short`: places for which nobody without a conflict had room."""

    proposed = serializers.IntegerField()
    short = serializers.IntegerField()


class SentSerializer(serializers.Serializer):
    sent = serializers.IntegerField()
