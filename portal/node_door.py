"""The agents' way in: past everything that is for browsers."""

from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.utils import translation

NODE_PATHS = "/api/node/"


class NodeDoorMiddleware:
    """A call of a node goes straight to its view: no session, language, message, form token or policy of pages is asked
    for.

    Agents call some thousand times as often as people, and what comes behind this in MIDDLEWARE took half of the time
    of a batch of samples. What holds for everybody (HTTPS, the hosts that are served) holds for them; who they are and
    how often they may call the view itself asks (cluster.node_view). A path that no view has goes the common way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(NODE_PATHS):
            return self.get_response(request)
        request.get_host()
        try:
            match = request.resolver_match = resolve(request.path_info)
        except Http404:
            return self.get_response(request)
        with translation.override(settings.LANGUAGE_CODE):
            response: HttpResponse = match.func(request, *match.args, **match.kwargs)
            return response.render() if hasattr(response, "render") else response
