"""Open calls for everybody, signed in or not: what was published and nothing else."""

from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.generic import TemplateView, View
from django_ratelimit.core import is_ratelimited

from common.downloads import download
from proposals.models import Call, CallDocument
from proposals.selectors import open_calls, public_calls
from proposals.views.call_editor import public_facts

VISITS = "120/m"
"""By address: a person reads a few pages, a program that takes them all has the API."""
MOST_OPEN = 100


class _Public:
    """Bounded by address, before anything is asked of the database."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if is_ratelimited(request, group="open-calls", key="ip", rate=VISITS, increment=True):
            return render(request, "429.html", status=429)
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        return answer


class OpenCalls(_Public, TemplateView):
    """The calls that take proposals now, those that close first before the others."""

    template_name = "proposals/open_calls.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = open_calls(public_calls()).prefetch_related("offers__pool__gpu_class")
        return super().get_context_data(calls=rows.order_by("closes_at", "-published_at")[:MOST_OPEN], **kwargs)


class OpenCall(_Public, TemplateView):
    """One call that was published; one that is over says so."""

    template_name = "proposals/public_call.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        call = get_object_or_404(public_calls(), public_id=self.kwargs["public_id"])
        return super().get_context_data(call=call, **public_facts(call), **kwargs)


class OpenCallDocument(_Public, View):
    """A file of a call that was published; the agency reads those of drafts, too."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | FileResponse:
        user: Any = request.user
        visible = Call.objects.visible_to(user) if user.is_authenticated else public_calls()
        document = get_object_or_404(
            CallDocument.objects.filter(call__in=visible),
            call__public_id=self.kwargs["public_id"],
            public_id=self.kwargs["document_id"],
        )
        return download(document.file, document.name, "application/octet-stream")
