"""Calls, to the API."""

from dataclasses import replace

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api import ReadViewSet
from partners.api import body_of
from proposals import serializers
from proposals.filters import CallFilter
from proposals.models import Call
from proposals.services import calls


class CallViewSet(ReadViewSet):
    """Invitations to propose."""

    queryset = Call.objects.prefetch_related("pools")
    serializer_class = serializers.CallSerializer
    filterset_class = CallFilter

    @extend_schema(request=serializers.EditCallSerializer, responses=serializers.CallSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change a draft, or texts and a later cut-off of an open call (officers)."""
        call = self.get_object()
        ask = body_of(serializers.EditCallSerializer, request)
        if "pools" in ask:
            ask["pools"] = tuple(ask["pools"])
        calls.edit_call(actor=request.user, call=call, terms=replace(calls.terms_of(call), **ask))
        return Response(serializers.CallSerializer(self.get_object()).data)
