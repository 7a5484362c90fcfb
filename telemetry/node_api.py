"""The door for samples: nodes only."""

import json
import zlib
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.node_auth import SamplesThrottle
from cluster.node_view import NodeAPIView
from telemetry import services
from telemetry.serializers import delivery

MAX_BODY_BYTES = 4 * 1024 * 1024  # unpacked; a batch of 8 devices x 3 samples is some 5 kB


class GzipJsonParser(BaseParser):
    """JSON, packed when Content-Encoding says gzip; never unpacks more than MAX_BODY_BYTES."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The decoded body; ParseError for anything else."""
        body = stream.read(MAX_BODY_BYTES + 1)
        request = (parser_context or {}).get("request")
        if request is not None and request.headers.get("Content-Encoding", "").lower() == "gzip":
            try:
                unpacker = zlib.decompressobj(wbits=31)
                body = unpacker.decompress(body, MAX_BODY_BYTES + 1)
            except zlib.error as error:
                raise ParseError("The body is not gzip.") from error
        if len(body) > MAX_BODY_BYTES:
            raise ParseError("The body is too large.")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ParseError("The body is not JSON.") from error


class SamplesView(NodeAPIView):
    """POST samples/: one delivery, taken exactly once."""

    parser_classes = (GzipJsonParser,)
    throttle_classes = (SamplesThrottle,) if settings.RATELIMIT_ENABLE else ()

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        """202 with the counts; a repeat says so and changes nothing."""
        said = delivery(request.data)
        result = services.ingest(node=request.user.node, **said)  # type: ignore[union-attr]
        return Response(vars(result), status=status.HTTP_202_ACCEPTED)
