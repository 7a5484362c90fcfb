"""What a request asks for, checked."""

from typing import Any

from rest_framework.request import Request


def body_of(serializer_class: Any, request: Request) -> dict[str, Any]:
    """The request's body in the serializer's shape; 400 where it has another."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data
