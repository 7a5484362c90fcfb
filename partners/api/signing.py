"""What agreements and amendments have in common: documents and signatures."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from common.parsers import StrictJSONParser
from partners import serializers
from partners.api.bodies import body_of
from partners.services import signing


class SigningMixin:
    """`sign/` and `sign-on-paper/` of what two sides sign."""

    @extend_schema(request=serializers.SignSerializer, responses=serializers.SignatureSerializer(many=True))
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def sign(self, request: Request, public_id: str) -> Response:
        """Sign for your side: owners for the partner, officers for the agency, with the second factor once more."""
        paper: Any = self.get_object()  # type: ignore[attr-defined]
        signing.sign(actor=request.user, paper=paper, **body_of(serializers.SignSerializer, request))  # type: ignore[arg-type]
        return _signatures(paper)

    @extend_schema(request=serializers.PaperSignatureSerializer, responses=serializers.SignatureSerializer(many=True))
    @action(
        detail=True,
        methods=["post"],
        url_path="sign-on-paper",
        parser_classes=[StrictJSONParser, MultiPartParser],
        filterset_class=None,
        pagination_class=None,
    )
    def sign_on_paper(self, request: Request, public_id: str) -> Response:
        """Record a signature on paper (officers)."""
        paper: Any = self.get_object()  # type: ignore[attr-defined]
        ask = body_of(serializers.PaperSignatureSerializer, request)
        signing.sign_on_paper(
            actor=request.user,
            paper=paper,
            sides=(ask["side"],),
            signed_on=ask["signed_on"],
            signatories={ask["side"]: ask["signatory"]},
            document=ask.get("document"),
        )
        return _signatures(paper)


def _signatures(paper: Any) -> Response:
    return Response(serializers.SignatureSerializer(signing.live_signatures(paper), many=True).data)
