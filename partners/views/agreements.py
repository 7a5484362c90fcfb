"""Pages about agreements (MOUs)."""

from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views import View

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.quantities import seconds_to_hours
from common.tables import Column
from common.web import ListPage, ObjectMixin, ObjectPage, VerbView
from partners.figures import ceilings, gpu_class_choices
from partners.filters import AgreementFilter
from partners.forms import AgreementForm, ReasonForm
from partners.lifecycle import AGREEMENT
from partners.models import Agreement, Organisation
from partners.services import agreements


class AgreementList(ListPage):
    model = Agreement
    filterset_class = AgreementFilter
    default_order = "-valid_from"
    title = _("Agreements")
    empty_text = _("No agreement yet. An officer registers one on the page of its organisation.")
    export_name = "agreements"
    columns = (
        Column("number", _("Number"), lambda a: a.number, link=lambda a: a.get_absolute_url(), sort="number"),
        Column("title", _("Title"), lambda a: a.title, sort="title"),
        Column("organisation", _("Organisation"), lambda a: a.organisation.name, sort="organisation__name_ko"),
        Column("valid_from", _("Valid from"), lambda a: a.valid_from.isoformat(), sort="valid_from"),
        Column("valid_until", _("Valid until"), lambda a: a.valid_until.isoformat(), sort="valid_until"),
        Column("state", _("State"), lambda a: a.state, sort="state", badge=True),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")


class AgreementPage(ObjectPage):
    model = Agreement
    object_name = "agreement"
    template_name = "partners/agreement.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        agreement: Agreement = self.object
        names = dict(gpu_class_choices())
        events = AGREEMENT.events_from(agreement.state) if may_run_programme.test(self.request.user, None) else ()
        areas = [(label, code in agreement.cooperation) for code, label in Agreement.Cooperation.choices]
        return super().get_context_data(
            ceilings=ceilings(agreement),
            gpu_classes=[names.get(code, code) for code in agreement.gpu_classes],
            areas=areas,
            events=events,
            may_edit="activate" in events,
            **kwargs,
        )


class AgreementDocument(ObjectMixin, View):
    """The signed PDF, to those who may see the agreement."""

    model = Agreement

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | FileResponse:
        if not self.object.document:
            raise Http404
        try:
            handle = self.object.document.open("rb")
        except FileNotFoundError as missing:
            raise Http404 from missing
        response = FileResponse(
            handle, as_attachment=True, filename=self.object.document_name, content_type="application/pdf"
        )
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "private, no-store"
        return response


class AgreementNew(ObjectGate, ObjectFormPage):
    """Under its organisation's address."""

    model = Organisation
    object_name = "organisation"
    gate = may_run_programme
    form_class = AgreementForm
    title = _("Register an agreement")
    intro = _("It is kept as a draft until you activate it. A draft allows nothing yet.")
    submit_label = _("Save as a draft")
    success_message = _("The draft is saved. Check it, then activate it.")

    def perform(self, form: Any) -> Agreement:
        return agreements.register_agreement(
            actor=self.request.user,
            organisation=self.object,
            terms=form.terms(),
            document=form.cleaned_data["document"],
        )


class _AgreementForm(ObjectGate, ObjectFormPage):
    model = Agreement
    object_name = "agreement"
    gate = may_run_programme


class AgreementEdit(_AgreementForm):
    form_class = AgreementForm
    title = _("Change the draft")
    intro = _("Choose a file only to replace the document.")
    submit_label = _("Save")
    success_message = _("The draft is saved.")

    def get_initial(self) -> dict[str, Any]:
        fields = (name for name in AgreementForm.base_fields if name not in ("ceiling_gpu_hours", "document"))
        return {
            **{name: getattr(self.object, name) for name in fields},
            "ceiling_gpu_hours": seconds_to_hours(self.object.ceiling_gpu_seconds),
        }

    def perform(self, form: Any) -> Agreement:
        return agreements.edit_agreement(
            actor=self.request.user,
            agreement=self.object,
            terms=form.terms(),
            document=form.cleaned_data["document"],
        )


class AgreementSuspend(_AgreementForm):
    form_class = ReasonForm
    title = _("Suspend the agreement")
    intro = _("New proposals, awards and reservations stop until you resume it. What runs now goes on.")
    submit_label = _("Suspend")
    danger = True
    success_message = _("The agreement is suspended.")

    def perform(self, form: Any) -> Agreement:
        return agreements.suspend(actor=self.request.user, agreement=self.object, reason=form.cleaned_data["reason"])


class AgreementTerminate(_AgreementForm):
    form_class = ReasonForm
    title = _("Terminate the agreement")
    intro = _("This cannot be undone. No new proposals, awards or reservations are possible afterwards.")
    submit_label = _("Terminate")
    danger = True
    success_message = _("The agreement is terminated.")

    def perform(self, form: Any) -> Agreement:
        return agreements.terminate(actor=self.request.user, agreement=self.object, reason=form.cleaned_data["reason"])


class AgreementActivate(VerbView):
    model = Agreement
    success_message = _("The agreement is in force.")

    def perform(self) -> None:
        agreements.activate(actor=self.request.user, agreement=self.object)


class AgreementResume(VerbView):
    model = Agreement
    success_message = _("The agreement is in force again.")

    def perform(self) -> None:
        agreements.resume(actor=self.request.user, agreement=self.object)
