"""Bringing in proposals from a spreadsheet: look first, then all or none."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import ngettext
from django.views import View

from common.downloads import csv_file, xlsx_file
from common.errors import DomainError
from common.gates import Gate
from common.templatetags.bitgoeul import number
from common.web import LoginRequiredMixin, Page, add_domain_error
from proposals.forms import ConfirmForm, ImportForm
from proposals.models import Call
from proposals.rules import may_decide
from proposals.services import imports
from proposals.services.imports.columns import COLUMNS


class ImportPage(Gate, Page):
    """The first button looks and saves nothing; what was looked at waits for the second."""

    gate = may_decide
    template_name = "proposals/import.html"
    form_class = ImportForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._shown(ImportForm(user=request.user))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "token" in request.POST:
            return self._bring_in(request)
        form = ImportForm(request.POST, request.FILES, user=request.user)
        if not form.is_valid():
            return self._shown(form, status=422)
        call, upload = form.cleaned_data["call"], form.cleaned_data["file"]
        try:
            report = imports.import_proposals(
                actor=request.user, call=call, file=upload, size=upload.size, dry_run=True
            )
        except DomainError as error:
            add_domain_error(form, error)
            return self._shown(form, status=422)
        token = ""
        if report.new and not report.problems:
            token = imports.keep(actor=request.user, upload=upload, call=call.public_id)
        another = ImportForm(user=request.user, initial={"call": call})
        return self._shown(another, report=report, token=token, chosen=call, name=upload.name)

    def _bring_in(self, request: HttpRequest) -> HttpResponse:
        form = ImportForm(user=request.user)
        confirm = ConfirmForm(request.POST)
        try:
            token = confirm.cleaned_data["token"] if confirm.is_valid() else ""
            file, size, public_id = imports.kept(actor=request.user, token=token)
            call = get_object_or_404(Call.objects.visible_to(request.user), public_id=public_id)
            with file:
                report = imports.import_proposals(actor=request.user, call=call, file=file, size=size, dry_run=False)
        except DomainError as error:
            return self._shown(form, status=422, refusal=str(error))
        if not report.saved:
            return self._shown(form, status=422, report=report, chosen=call)
        text = ngettext("%(n)s proposal was brought in.", "%(n)s proposals were brought in.", report.new)
        messages.success(request, text % {"n": number(report.new)})
        return HttpResponseRedirect(reverse("proposals:queue"))

    def _shown(self, form: ImportForm, status: int = 200, **kwargs: Any) -> HttpResponse:
        field: Any = form.fields["call"]
        context = {"form": form, "columns": COLUMNS, "calls": field.queryset, **kwargs}
        return self.render_to_response(self.get_context_data(**context), status=status)


class ImportTemplate(Gate, LoginRequiredMixin, View):
    """The file to fill in: a workbook, or CSV with `?format=csv`."""

    gate = may_decide

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        name, asked = "proposals-to-import", request.GET.get("call", "")
        call = get_object_or_404(Call.objects.visible_to(request.user), public_id=asked) if asked else None
        if request.GET.get("format") == "csv":
            return csv_file(imports.template_csv(call), name)
        return xlsx_file(imports.template_xlsx(call), name)
