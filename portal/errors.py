"""What goes wrong outside of any page: a database that is away for a moment is no fault of the request."""

import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.utils.translation import gettext as _

RETRY_SECONDS = 10
AWAY = (OperationalError, InterfaceError)


def failed(request: HttpRequest, *args: Any) -> HttpResponse:
    """Django's handler500: 503 with Retry-After while the database is away, else 500. Asks the database nothing."""
    away = isinstance(sys.exc_info()[1], AWAY)
    status = 503 if away else 500
    if request.path.startswith("/api/"):
        response: HttpResponse = _problem(status)
    else:  # a plain template: no context processor, and so no query
        response = HttpResponse(get_template(f"{status}.html").render(), status=status)
    if away:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def _problem(status: int) -> JsonResponse:
    away = status == 503
    body = {
        "type": f"urn:bitgoeul:problem:{'unavailable' if away else 'error'}",
        "title": _("The portal cannot reach its database.") if away else _("Something went wrong."),
        "status": status,
        "detail": _("It was recorded. Please try again in a moment."),
        "code": "unavailable" if away else "error",
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
