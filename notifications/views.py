"""The inbox."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.generic import View

from common.web import ObjectMixin, Page
from notifications.models import Notification
from notifications.services import mark_all_read, mark_read

PAGE_SIZE = 25


class Inbox(Page):
    """What was said to me: unread first, then newest first."""

    template_name = "notifications_pages/inbox.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mine = Notification.objects.all().visible_to(self.request.user)
        rows = mine.annotate(is_read=Q(read_at__isnull=False)).order_by("is_read", "-id")
        page = Paginator(rows, PAGE_SIZE).get_page(self.request.GET.get("page"))
        return super().get_context_data(page_obj=page, **kwargs)


class Open(ObjectMixin, View):
    """Marks one as read and leads to what it is about, or shows it where it is about nothing in particular."""

    model = Notification
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        note = self.object
        if note.read_at is None:
            mark_read(actor=request.user, notifications=[note])
        if note.url and url_has_allowed_host_and_scheme(note.url, allowed_hosts=None):
            return HttpResponseRedirect(note.url)
        return render(request, "notifications_pages/note.html", {"note": note})


class MarkAllRead(LoginRequiredMixin, View):
    """Everything is read now."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        mark_all_read(actor=request.user)
        messages.success(request, _("All notices are marked as read."))
        return HttpResponseRedirect(reverse("notifications:inbox"))
