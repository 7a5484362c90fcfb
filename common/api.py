"""The API skin: the same verbs, refusals as problem+json (RFC 9457)."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from rest_framework import exceptions, mixins, status, viewsets
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from common.errors import DomainError, Forbidden, WrongState

PROBLEM_TYPE = "application/problem+json"


class VisibleViewSet(viewsets.GenericViewSet):
    """Objects by public id, only among those that the user may see."""

    lookup_field = "public_id"
    lookup_value_regex = "[a-z0-9-]+"

    def get_queryset(self) -> QuerySet[Any]:
        assert self.queryset is not None
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        return self.queryset.all().visible_to(self.request.user)  # type: ignore[attr-defined]


class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, VisibleViewSet):
    """List and one, both only of what the user may see."""


def domain_status(error: DomainError) -> int:
    """409 for a wrong state, 403 for a role that may not, 422 for a broken rule."""
    if isinstance(error, WrongState):
        return status.HTTP_409_CONFLICT
    if isinstance(error, Forbidden):
        return status.HTTP_403_FORBIDDEN
    return status.HTTP_422_UNPROCESSABLE_ENTITY


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception hook: every error leaves as problem+json."""
    if isinstance(error, DomainError):
        set_rollback()
        code = domain_status(error)
        body = {
            "type": f"urn:bitgoeul:problem:{error.code}",
            "title": str(error.message),
            "status": code,
            "detail": str(error.remedy),
            "code": error.code,
            "field": error.field,
            "facts": error.facts,
        }
        return Response(body, status=code, content_type=PROBLEM_TYPE)
    response = exception_handler(error, context)
    if response is None:
        return None
    response.data = _problem(error, response)
    response.content_type = PROBLEM_TYPE
    return response


def _problem(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    code = error.default_code if isinstance(error, exceptions.APIException) else "error"
    title = error.default_detail if isinstance(error, exceptions.APIException) else error
    problem: dict[str, Any] = {
        "type": f"urn:bitgoeul:problem:{code}",
        "title": str(title),
        "status": response.status_code,
        "code": code,
    }
    if isinstance(error, exceptions.ValidationError):
        problem["errors"] = response.data
    elif isinstance(response.data, dict) and "detail" in response.data:
        problem["detail"] = str(response.data["detail"])
    return problem
