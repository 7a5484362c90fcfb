"""The rules of booking and the blackouts, for scripts: the services of the pages."""

from typing import Any, cast

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from allocations.models import Blackout, BookingRules
from allocations.rule_words import sentences
from allocations.rulebook import RULES, Rulebook, Scope
from allocations.selectors.rulebooks import SUBJECTS, inherited_by, inherited_by_all, rules_of
from allocations.serializers.rules import (
    AnnounceBlackoutSerializer,
    AnnouncedBlackoutSerializer,
    BlackoutSerializer,
    BookingRulesSerializer,
    RulebookSerializer,
    SetRulesSerializer,
)
from allocations.services.rule_setting import announce_blackout, cancel_blackout, set_rules
from cluster.api import said_in
from cluster.serializers import ReasonSerializer
from common.api import ReadViewSet
from common.web import staff_only


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
