"""The web skin: pages fetch through `visible_to`, forms call one verb, refusals come back on the form."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import IntegrityError, models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.generic import FormView, TemplateView, View
from django_filters.views import FilterView

from common.downloads import csv_file
from common.errors import DomainError
from common.models import Submission
from common.tables import Column, csv_lines, order


class Page(LoginRequiredMixin, TemplateView):
    """A page for signed-in people."""


class ObjectMixin(LoginRequiredMixin):
    """Fetches one object by its public id, only among those that the user may see: everything else is 404."""

    model: type[models.Model]
    object_name = "object"

    def get_queryset(self) -> models.QuerySet[Any]:
        """The rows this user may see; override to add select_related."""
        return self.model._default_manager.visible_to(self.request.user)  # type: ignore[attr-defined]

    def fetch(self) -> Any:
        """The object of the URL, or Http404."""
        return get_object_or_404(self.get_queryset(), public_id=self.kwargs["public_id"])  # type: ignore[attr-defined]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            self.request = request
            self.object = self.fetch()
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{self.object_name: self.object, **kwargs})  # type: ignore[misc]


class ObjectPage(ObjectMixin, TemplateView):
    """A page about one object."""


class ServicePage(LoginRequiredMixin, FormView):
    """A form that ends in one service verb.

    Subclasses implement `perform(form) -> URL or object with get_absolute_url()`. A DomainError becomes an error on
    the form with status 422 and everything typed kept. The hidden `submission` key makes a double click or a stale
    form harmless: the second request is led to the result of the first.
    """

    success_message: Any = ""

    def perform(self, form: forms.BaseForm) -> Any:
        """Call the one service verb of this page."""
        raise NotImplementedError

    def form_valid(self, form: forms.BaseForm) -> HttpResponse:
        try:
            with transaction.atomic():
                claim = self._claim()
                target = self.perform(form)
                url = target if isinstance(target, str) else target.get_absolute_url()
                if claim:
                    claim.result_url = url
                    claim.save(update_fields=["result_url"])
        except _AlreadySent as sent:
            messages.info(self.request, _("This form had already been sent. Here is its result."))
            return HttpResponseRedirect(sent.url)
        except DomainError as error:
            add_domain_error(form, error)
            return self.form_invalid(form)
        if self.success_message:
            messages.success(self.request, self.success_message)
        return HttpResponseRedirect(url)

    def form_invalid(self, form: forms.BaseForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        key = self.request.POST.get("submission") or str(uuid.uuid4())
        return super().get_context_data(submission_key=key, **kwargs)

    def _claim(self) -> Submission | None:
        user: Any = self.request.user  # signed in: LoginRequiredMixin stands before every form
        try:
            key = uuid.UUID(self.request.POST.get("submission", ""))
        except ValueError:
            return None
        try:
            with transaction.atomic():
                return Submission.objects.create(key=key, user=user)
        except IntegrityError:
            done = Submission.objects.get(key=key, user=user)
            raise _AlreadySent(done.result_url or reverse("home")) from None


class ObjectServicePage(ObjectMixin, ServicePage):
    """A form about one object that ends in one service verb."""


class VerbView(ObjectMixin, View):
    """A button: POST only, one verb, then back to the object with what happened said in a message."""

    http_method_names = ["post"]
    success_message: Any = ""

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Who comes by address (from a sign-in that a button led to, or by reloading) is told where the button is."""
        refused = super().http_method_not_allowed(request, *args, **kwargs)
        page = render(request, "405.html", {"back": self.object.get_absolute_url()}, status=405)
        page["Allow"] = refused["Allow"]
        return page

    def perform(self) -> Any:
        """Call the verb; may return an object or a URL to go to (default: the object)."""
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            target = self.perform() or self.object
        except DomainError as error:
            messages.error(request, str(error))
            target = self.object
        else:
            if self.success_message:
                messages.success(request, self.success_message)
        return HttpResponseRedirect(target if isinstance(target, str) else target.get_absolute_url())


class ListPage(LoginRequiredMixin, FilterView):
    """A list that filters, sorts, pages and exports on the server. Subclasses set model, filterset_class, columns."""

    template_name = "common/list.html"
    columns: tuple[Column, ...] = ()
    default_order = "-pk"
    paginate_by = 25
    title: Any = ""
    empty_text: Any = ""
    export_name = "list"
    strict = False
    create_url_name = ""
    create_label: Any = ""

    def get_queryset(self) -> models.QuerySet[Any]:
        return self.model._default_manager.visible_to(self.request.user)  # type: ignore[union-attr]

    def may_create(self) -> bool:
        """Whether to show the button that leads to the form for a new one."""
        return bool(self.create_url_name)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        filterset = self.get_filterset(self.get_filterset_class())
        self.filterset = filterset
        rows = filterset.qs if not filterset.is_bound or filterset.is_valid() else filterset.queryset.none()
        self.object_list = order(rows, self.columns, request.GET.get("sort", ""), self.default_order)
        if request.GET.get("format") == "csv":
            return csv_file(csv_lines(self.object_list, self.columns), self.export_name)
        return self.render_to_response(self.get_context_data(filter=filterset, object_list=self.object_list))

    def paginate_queryset(self, queryset: Any, page_size: int) -> Any:
        paginator = self.get_paginator(queryset, page_size)
        page = paginator.get_page(self.request.GET.get("page"))  # never 404: a wrong number gives the nearest page
        return paginator, page, page.object_list, page.has_other_pages()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET.copy()
        query.pop("page", None)
        query.pop("format", None)
        unsorted = query.copy()
        unsorted.pop("sort", None)
        return super().get_context_data(
            columns=[column for column in self.columns if not column.csv_only],
            title=self.title,
            empty_text=self.empty_text,
            sort=self.request.GET.get("sort", ""),
            query=query.urlencode(),
            query_unsorted=unsorted.urlencode(),
            create_url=reverse(self.create_url_name) if self.create_url_name and self.may_create() else "",
            create_label=self.create_label,
            **kwargs,
        )


def add_domain_error(form: forms.BaseForm, error: DomainError) -> None:
    """Put a refusal where the person can mend it: on its field, else at the head of the form."""
    field = error.field if error.field in form.fields else None
    form.add_error(field, forms.ValidationError(str(error), code=error.code))


def staff_only(user: Any) -> None:
    """404 for people who are not of the agency: the page does not exist for them."""
    if not getattr(user, "is_agency", False):
        raise Http404


class _AlreadySent(Exception):
    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(url)
