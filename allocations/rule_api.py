"""The rules of booking and the blackouts, for scripts: the services of the pages."""

from typing import Any, cast

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.models import Blackout, BookingRules
from allocations.rule_words import sentences
from allocations.rulebook import RULES, Rulebook, Scope
from allocations.selectors.rulebooks import SUBJECTS, booked_in, inherited_by, inherited_by_all, rules_of
from allocations.services.rule_setting import LIMITS, announce_blackout, cancel_blackout, set_rules
from cluster.api import said_in
from cluster.models import Pool
from cluster.serializers import ReasonSerializer
from common.api import ReadViewSet
from common.moments import MomentField
from common.web import staff_only


class RuleSerializer(serializers.Serializer[Any]):
    """A rule in force: its value (null: no limit), whose it is, and the rule in words where it says something."""

    rule = serializers.ChoiceField(choices=RULES)
    value = serializers.IntegerField(allow_null=True)
    scope = serializers.ChoiceField(choices=["house", "pool", "agreement", "allocation"])
    text = serializers.CharField()
    whose = serializers.CharField()


class ClosureSerializer(serializers.Serializer[Any]):
    """A coming blackout."""

    starts_at = serializers.DateTimeField(source="start")
    ends_at = serializers.DateTimeField(source="end")
    reason_ko = serializers.CharField()
    reason_en = serializers.CharField()


class RulebookSerializer(serializers.Serializer[Any]):
    """Every rule in force for an allocation, and the coming blackouts of its pool."""

    rules = RuleSerializer(many=True)
    blackouts = ClosureSerializer(many=True)


def rulebook_data(book: Rulebook, allocation: Any) -> dict[str, Any]:
    """The shape of RulebookSerializer."""
    words = {row.rule: row for row in sentences(book, allocation)}
    rules = [
        {
            "rule": name,
            "value": said.value,
            "scope": said.scope,
            "text": words[name].text if name in words else "",
            "whose": words[name].source if name in words else "",
        }
        for name, said in book.said().items()
    ]
    return dict(RulebookSerializer({"rules": rules, "blackouts": book.closures}).data)


def _values() -> dict[str, serializers.IntegerField]:
    return {
        name: serializers.IntegerField(
            allow_null=True, default=None, required=False, min_value=LIMITS[name][0], max_value=LIMITS[name][1]
        )
        for name in RULES
    }


class SetRulesSerializer(ReasonSerializer):
    """What a subject says from now on, whole: null, or left out, is not said here."""

    version = serializers.IntegerField(min_value=0, help_text="the version that was read; 0 for the first rules")

    def get_fields(self) -> dict[str, Any]:
        """One field a rule."""
        return {**super().get_fields(), **_values()}


class BookingRulesSerializer(serializers.Serializer[Any]):
    """What a subject says for itself, and what holds where it says nothing (null: no limit)."""

    scope = serializers.CharField()
    subject = serializers.CharField(source="subject.public_id")
    version = serializers.IntegerField()
    rules = serializers.DictField(child=serializers.IntegerField(allow_null=True), help_text="null: not said here")
    inherited = serializers.DictField(child=serializers.IntegerField(allow_null=True), help_text="null: no limit")


def _rules_data(rules: BookingRules, above: Rulebook | None = None) -> dict[str, Any]:
    rules_said = {name: getattr(rules, name) for name in RULES}
    book = above or inherited_by(rules.scope, rules.subject)
    inherited = {name: said.value for name, said in book.said().items()}
    shown = {"scope": rules.scope, "subject": rules.subject, "version": rules.version}
    return dict(BookingRulesSerializer({**shown, "rules": rules_said, "inherited": inherited}).data)


class AllRules(ListAPIView[BookingRules]):
    """What pools, agreements and allocations say."""

    queryset = BookingRules.objects.select_related("pool", "agreement", "allocation__project").order_by(
        "-updated_at", "-pk"
    )
    serializer_class = BookingRulesSerializer

    @extend_schema(operation_id="booking_rules_list", tags=["rules"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Every subject that says something, the latest change first. Agency staff only."""
        staff_only(request.user)
        page = self.paginate_queryset(self.get_queryset()) or []
        above = inherited_by_all(page)
        return self.get_paginated_response([_rules_data(row, above[row.pk]) for row in page])


class RulesOf(APIView):
    """The rules of one pool, agreement or allocation."""

    def _subject(self, request: Request, scope: str, public_id: str) -> Any:
        staff_only(request.user)
        if scope not in SUBJECTS:
            raise Http404
        return get_object_or_404(SUBJECTS[scope], public_id=public_id)

    @extend_schema(responses=BookingRulesSerializer, operation_id="booking_rules_retrieve", tags=["rules"])
    def get(self, request: Request, scope: str, public_id: str) -> Response:
        """What it says for itself, and what it inherits. `scope`: pool, agreement or allocation. Agency staff only."""
        return Response(_rules_data(rules_of(scope, self._subject(request, scope, public_id))))

    @extend_schema(
        request=SetRulesSerializer, responses=BookingRulesSerializer, operation_id="booking_rules_set", tags=["rules"]
    )
    def put(self, request: Request, scope: str, public_id: str) -> Response:
        """Say its rules, whole, for what is booked from now on. 409 where they changed since `version`. Officers."""
        subject = self._subject(request, scope, public_id)
        said = said_in(request, SetRulesSerializer)
        version, reason = said.pop("version"), said.pop("reason")
        rules = set_rules(
            actor=request.user,
            scope=cast(Scope, scope),
            subject=subject,
            values=said,
            version=version,
            reason=reason,
        )
        return Response(_rules_data(rules))


class BlackoutSerializer(serializers.ModelSerializer[Blackout]):
    """When nothing may be booked, and why."""

    id = serializers.CharField(source="public_id", read_only=True)
    pool = serializers.CharField(source="pool.public_id", allow_null=True, default=None, help_text="null: every pool")

    class Meta:
        model = Blackout
        fields = ("id", "pool", "starts_at", "ends_at", "reason_ko", "reason_en", "cancelled_at")
        read_only_fields = fields


class AnnouncedBlackoutSerializer(BlackoutSerializer):
    """A blackout and the reservations that lie in it, which stay."""

    leases = serializers.SerializerMethodField()

    class Meta(BlackoutSerializer.Meta):
        fields = (*BlackoutSerializer.Meta.fields, "leases")  # type: ignore[assignment]

    def get_leases(self, blackout: Blackout) -> list[str]:
        """Ids."""
        return list(booked_in(blackout).values_list("public_id", flat=True))


class AnnounceBlackoutSerializer(serializers.Serializer[Any]):
    """When, where and why nothing may be booked."""

    pool = serializers.SlugRelatedField(
        slug_field="public_id", queryset=Pool.objects.all(), allow_null=True, default=None, help_text="null: every pool"
    )
    starts_at = MomentField()
    ends_at = MomentField()
    reason_ko = serializers.CharField(max_length=200)
    reason_en = serializers.CharField(max_length=200)


class BlackoutViewSet(ReadViewSet):
    """Times when nothing may be booked: everybody who is signed in may read them."""

    queryset = Blackout.objects.select_related("pool")
    serializer_class = BlackoutSerializer

    @extend_schema(request=AnnounceBlackoutSerializer, responses={201: AnnouncedBlackoutSerializer})
    def create(self, request: Request) -> Response:
        """Announce one; the reservations that lie in it are named, and stay. Officers only."""
        made = announce_blackout(actor=request.user, **said_in(request, AnnounceBlackoutSerializer))
        return Response(AnnouncedBlackoutSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ReasonSerializer, responses=BlackoutSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Its window can be booked again. Officers only."""
        blackout = self.get_object()
        staff_only(request.user)
        cancel_blackout(actor=request.user, blackout=blackout, **said_in(request, ReasonSerializer))
        return Response(BlackoutSerializer(self.get_object()).data)
