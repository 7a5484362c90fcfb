"""Shapes of the capacity board in the API."""

from typing import Any

from rest_framework import serializers

from allocations.serializers.allocations import ShortfallSerializer


class FiguresSerializer(serializers.Serializer[Any]):
    """GPUs: the most at one moment, `_mean`: on average; `bookable` and `room`: the fewest."""

    physical = serializers.IntegerField()
    out = serializers.IntegerField(help_text="in maintenance, or ill as things stand")
    bookable = serializers.IntegerField()
    promised = serializers.IntegerField()
    promised_mean = serializers.FloatField()
    booked = serializers.IntegerField()
    booked_mean = serializers.FloatField()
    room = serializers.IntegerField(help_text="bookable less promised; negative: over-committed")
    over = serializers.IntegerField()
    guaranteed = serializers.IntegerField(help_text="of the promised, kept at every moment")
    bound = serializers.IntegerField(help_text="the most that awards may promise at once")
    past_bound = serializers.IntegerField(help_text="promised beyond the bound")
    used_mean = serializers.FloatField(allow_null=True, help_text="null: nothing was measured")


class BucketSerializer(serializers.Serializer[Any]):
    """A day or a week; `changed`: with the what-if, null without one."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    now = FiguresSerializer()
    changed = FiguresSerializer(allow_null=True)


class BoardRowSerializer(serializers.Serializer[Any]):
    """A pool, or the pools of a GPU class."""

    name = serializers.CharField()
    gpu_class = serializers.CharField()
    pools = serializers.ListField(child=serializers.CharField())
    buckets = BucketSerializer(many=True)


class VerdictSerializer(serializers.Serializer[Any]):
    """A promise: the pool it would go to, the most that its window holds throughout, the first day it fits whole."""

    ref = serializers.CharField()
    title = serializers.CharField(source="label")
    pool = serializers.CharField(allow_null=True)
    gpus = serializers.IntegerField()
    first = serializers.DateField()
    days = serializers.IntegerField()
    fits = serializers.BooleanField()
    at_most = serializers.IntegerField()
    first_fit = serializers.DateField(allow_null=True)


class LeaseNameSerializer(serializers.Serializer[Any]):
    """A reservation that is named."""

    lease = serializers.CharField()
    organisation = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class LoserSerializer(LeaseNameSerializer):
    """It loses GPUs and finds no others; `begun`: it is in use and could only be ended."""

    gpus = serializers.IntegerField()
    begun = serializers.BooleanField()


class PinnedSerializer(serializers.Serializer[Any]):
    """A guarantee that GPUs of these nodes keep: others would have to keep it."""

    award = serializers.CharField(help_text="id of the proposal that was awarded")
    organisation = serializers.CharField()
    gpus = serializers.IntegerField()
    until = serializers.DateTimeField()


class MovedSerializer(serializers.Serializer[Any]):
    """A window at its new time."""

    ref = serializers.CharField()
    title = serializers.CharField(source="label")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    clashes = serializers.BooleanField()
    in_the_way = LeaseNameSerializer(many=True)
    closed = serializers.BooleanField(help_text="work is announced there then")
    elsewhere = serializers.BooleanField(help_text="other GPUs of the pool are free then")
    outside = LeaseNameSerializer(many=True, help_text="reservations that would lie outside of their allocation")
    first_fit = serializers.DateTimeField(allow_null=True)


class ClaimSerializer(serializers.Serializer[Any]):
    """Who is promised GPUs; `waiting`: an award that the partner has not answered yet."""

    ref = serializers.CharField()
    title = serializers.CharField(source="label")
    organisation = serializers.CharField()
    pool = serializers.CharField()
    gpus = serializers.IntegerField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    waiting = serializers.BooleanField()
    guaranteed = serializers.IntegerField(help_text="of these, kept at every moment")


class ClashSerializer(serializers.Serializer[Any]):
    """Where the change over-commits more than today's board, by how many GPUs, and who counts on it."""

    name = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    over = serializers.IntegerField()
    before = serializers.IntegerField()
    claims = ClaimSerializer(many=True)
    more = serializers.IntegerField(help_text="claims that are not named")


class WhatIfSerializer(serializers.Serializer[Any]):
    """What the change comes to."""

    promises = VerdictSerializer(many=True)
    without_place = LoserSerializer(many=True)
    found_others = LeaseNameSerializer(many=True)
    pinned = PinnedSerializer(many=True)
    moved = MovedSerializer(many=True)
    clashes = ClashSerializer(many=True)


class BrokenPromiseSerializer(ShortfallSerializer):
    """A guarantee that cannot be kept, as things stand: whose, on which pool, and until when."""

    award = serializers.CharField(source="envelope.award_ref", help_text="id of the proposal that was awarded")
    allocation = serializers.CharField(
        source="envelope.allocation.public_id", allow_null=True, default=None, help_text="null: not accepted yet"
    )
    organisation = serializers.CharField(source="envelope.organisation.name")
    pool = serializers.CharField(source="envelope.pool.public_id")


class CapacitySerializer(serializers.Serializer[Any]):
    """The board."""

    at = serializers.DateTimeField()
    zone = serializers.CharField(help_text="whose days these are")
    step = serializers.CharField()
    rows = BoardRowSerializer(many=True)
    broken_promises = BrokenPromiseSerializer(many=True)
    what_if = WhatIfSerializer(allow_null=True)


class CapacityDetailsSerializer(serializers.Serializer[Any]):
    """What lies behind some days: the first 200 of each, and how many there are."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    promised = ClaimSerializer(many=True)
    promised_total = serializers.IntegerField()
    booked = LeaseNameSerializer(many=True)
    booked_total = serializers.IntegerField()
    ill = serializers.ListField(child=serializers.CharField())
    ill_total = serializers.IntegerField()
    maintenance = serializers.ListField(child=serializers.CharField())
