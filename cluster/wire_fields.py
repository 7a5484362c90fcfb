"""Fields for what strangers' machines send: nothing passes that the database or the clock could not take."""

import json
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

LAST_EPOCH_SECONDS = 32_503_680_000  # the year 3000; datetime ends in 9999
MAX_DEPTH = 8
MAX_TEXT = 500
MAX_JSON_BYTES = 16_384


class EpochField(serializers.FloatField):
    """Epoch seconds that are a date."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=LAST_EPOCH_SECONDS, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        """A finite number."""
        return _finite(self, super().to_internal_value(data))


class FiniteField(serializers.FloatField):
    """A number; neither infinite nor "nan", which passes every comparison."""

    def to_internal_value(self, data: Any) -> float:
        """A finite number."""
        return _finite(self, super().to_internal_value(data))


def _finite(field: serializers.FloatField, value: float) -> float:
    if not math.isfinite(value):
        field.fail("invalid")
    return value


class ShortTextField(serializers.Field[Any, Any, Any, Any]):
    """Any plain value as text, cut rather than refused: an answer is not lost because a list of PIDs was long."""

    def to_internal_value(self, data: Any) -> str:
        """At most 500 characters that PostgreSQL can hold."""
        return _storable(str(data))[:MAX_TEXT]

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def plain_json(value: Any, depth: int = 0) -> None:
    """ValidationError unless PostgreSQL's jsonb can hold the value and nobody has to recurse far to read it."""
    if depth > MAX_DEPTH:
        raise ValidationError("Nested too deeply.")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            plain_json(name, depth + 1)
            plain_json(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            plain_json(inner, depth + 1)
    elif isinstance(value, str):
        if value != _storable(value):
            raise ValidationError("Text with a NUL or half a character.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValidationError("Not a finite number.")


def small(value: Any) -> None:
    """ValidationError for an object that is more than a few pages of text."""
    if len(json.dumps(value, default=str)) > MAX_JSON_BYTES:
        raise ValidationError("Larger than 16 KiB.")
