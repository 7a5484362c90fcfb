"""What the API reads."""

import io
import json
import re
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BoundedJSONParser(JSONParser):
    """JSON; a body nested deeper than Python's stack is malformed like any other."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The decoded body; ParseError for anything else."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError(_("This JSON is nested too deeply.")) from error


class StrictJSONParser(BoundedJSONParser):
    """JSON whose strings can be written down again.

    RFC 8259 (8.2) lets half of a surrogate pair stand in a string; neither UTF-8 nor PostgreSQL can hold it.
    """

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """ParseError for what is not JSON or holds half a surrogate pair."""
        raw = stream.read()
        data = super().parse(io.BytesIO(raw), media_type, parser_context)
        if SURROGATE.search(raw):
            try:
                json.dumps(data, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise ParseError(_("A text in this JSON is cut in the middle of a character.")) from None
        return data
