"""One's reservations in one's own calendar program, by a secret link."""

from typing import Any

from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_ratelimit.core import is_ratelimited

from allocations.forms.verbs import ConfirmForm
from allocations.models import CalendarFeed
from allocations.services import feeds
from common.web import ServicePage, VerbView

FETCHES = "60/m"
"""By address: a calendar program asks every few minutes, somebody who guesses asks all the time."""


class FeedPage(ServicePage):
    """Make the link, or a new one. The answer to the form is the only page that ever shows it."""

    form_class = ConfirmForm
    template_name = "allocations/feed.html"
    secret = ""

    def perform(self, form: BaseForm) -> str:
        self.secret = feeds.renew(actor=self.request.user)
        return reverse("allocations:feed")

    def form_valid(self, form: BaseForm) -> HttpResponse:
        # As with API tokens: a redirect would have to keep the secret somewhere.
        response = super().form_valid(form)
        if not self.secret:
            return response
        shown = self.render_to_response(self.get_context_data(form=form, link=feeds.address(self.secret)))
        add_never_cache_headers(shown)
        return shown

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        feed = CalendarFeed.objects.filter(user=user).first()
        return super().get_context_data(feed=feed, **kwargs)


class FeedRevoke(VerbView):
    """The link stops working."""

    success_message = _("The link is revoked. It stops working at once.")

    def fetch(self) -> Any:
        user: Any = self.request.user
        return CalendarFeed.objects.filter(user=user).first() or CalendarFeed(user=user)

    def perform(self) -> str:
        feeds.revoke(actor=self.request.user)
        return reverse("allocations:feed")


@require_safe
def feed_file(request: HttpRequest, token: str) -> HttpResponse:
    """The feed itself: whoever has the link may read it. 404 where it opens nothing, 429 where somebody guesses."""
    if is_ratelimited(request, group="feeds", key="ip", rate=FETCHES, increment=True):
        return render(request, "429.html", status=429)
    body = feeds.render(token)
    if body is None:
        raise Http404
    answer = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    answer["Content-Disposition"] = 'inline; filename="reservations.ics"'
    answer["Referrer-Policy"] = "no-referrer"
    answer["Cache-Control"] = "private, no-store"
    return answer
