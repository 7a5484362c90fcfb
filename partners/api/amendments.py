"""Amendments and obligations, to the API."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners import serializers
from partners.api.bodies import body_of
from partners.api.signing import SigningMixin
from partners.filters import AmendmentFilter, ObligationFilter
from partners.models import Agreement, Amendment, Obligation
from partners.services import amending, obligations
from partners.terms import AgreementTerms, terms_of


def _agreement(request: Request, public_id: str) -> Agreement:
    rows = Agreement.objects.visible_to(request.user).select_related("organisation")
    return get_object_or_404(rows, public_id=public_id)


class AmendmentViewSet(SigningMixin, ReadViewSet):
    """What was changed in agreements since they were signed."""

    queryset = Amendment.objects.select_related("agreement__organisation").prefetch_related("signatures")
    serializer_class = serializers.AmendmentSerializer
    filterset_class = AmendmentFilter

    def _shown(self, amendment: Amendment, code: int = status.HTTP_200_OK) -> Response:
        fresh = self.get_queryset().get(pk=amendment.pk)
        return Response(serializers.AmendmentSerializer(fresh).data, status=code)

    @extend_schema(request=serializers.DraftAmendmentSerializer, responses={201: serializers.AmendmentSerializer})
    def create(self, request: Request) -> Response:
        """Draft an amendment: the whole of the terms as they are to be (officers)."""
        ask = body_of(serializers.DraftAmendmentSerializer, request)
        agreement = _agreement(request, ask.pop("agreement"))
        made = amending.draft_amendment(actor=request.user, agreement=agreement, draft=_draft(agreement, ask))
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.DocumentSerializer, responses=serializers.AmendmentSerializer)
    @action(detail=True, methods=["post"], parser_classes=[MultiPartParser])
    def document(self, request: Request, public_id: str) -> Response:
        """Put the document to a draft, or replace it (officers)."""
        amendment = self.get_object()
        ask = body_of(serializers.DocumentSerializer, request)
        return self._shown(amending.attach_document(actor=request.user, amendment=amendment, document=ask["document"]))

    @extend_schema(request=None, responses=serializers.AmendmentSerializer)
    @action(detail=True, methods=["post"])
    def agree(self, request: Request, public_id: str) -> Response:
        """Both sides have signed: it takes effect on its day (officers)."""
        return self._shown(amending.agree(actor=request.user, amendment=self.get_object()))

    @extend_schema(request=None, responses=serializers.AmendmentSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, public_id: str) -> Response:
        """It will not take effect (officers)."""
        return self._shown(amending.withdraw(actor=request.user, amendment=self.get_object()))


class ObligationViewSet(ReadViewSet):
    """What partners owe under their agreements."""

    queryset = Obligation.objects.select_related("agreement__organisation")
    serializer_class = serializers.ObligationSerializer
    filterset_class = ObligationFilter

    def _shown(self, obligation: Obligation, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.ObligationSerializer(obligation).data, status=code)

    @extend_schema(request=serializers.NewObligationSerializer, responses={201: serializers.ObligationSerializer})
    def create(self, request: Request) -> Response:
        """Write down what is owed (officers)."""
        ask = body_of(serializers.NewObligationSerializer, request)
        agreement = _agreement(request, ask.pop("agreement"))
        made = obligations.add_obligation(actor=request.user, agreement=agreement, **ask)
        return self._shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.WriteObligationSerializer, responses=serializers.ObligationSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Put it right: all of it (officers)."""
        obligation = self.get_object()
        ask = body_of(serializers.WriteObligationSerializer, request)
        return self._shown(obligations.edit_obligation(actor=request.user, obligation=obligation, **ask))

    def destroy(self, request: Request, public_id: str) -> Response:
        """It was written down by mistake (officers)."""
        obligations.remove_obligation(actor=request.user, obligation=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=serializers.FulfilSerializer, responses=serializers.ObligationSerializer)
    @action(detail=True, methods=["post"])
    def fulfil(self, request: Request, public_id: str) -> Response:
        """Report it as done (the partner's managers, officers)."""
        obligation = self.get_object()
        ask = body_of(serializers.FulfilSerializer, request)
        return self._shown(obligations.fulfil(actor=request.user, obligation=obligation, **ask))

    @extend_schema(request=None, responses=serializers.ObligationSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, public_id: str) -> Response:
        """It was not done after all (officers)."""
        return self._shown(obligations.reopen(actor=request.user, obligation=self.get_object()))


def _draft(agreement: Agreement, ask: dict[str, Any]) -> amending.AmendmentDraft:
    why, day = ask.pop("reason"), ask.pop("effective_from")
    return amending.AmendmentDraft(AgreementTerms(**{**terms_of(agreement).as_dict(), **ask}), why, day)
