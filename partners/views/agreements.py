"""Pages about agreements (MOUs)."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.moments import agency_day
from common.quantities import seconds_to_hours
from common.tables import Column
from common.templatetags.bitgoeul import hours
from common.web import ListPage, ObjectPage, VerbView
from partners.choices import gpu_class_choices, pool_names
from partners.figures import ceilings, ceilings_by_year, committed
from partners.filters import AgreementFilter
from partners.forms import AgreementForm, ReasonForm, initial_terms
from partners.lifecycle import AGREEMENT
from partners.models import Agreement, Organisation
from partners.rules import may_manage
from partners.selectors.signatures import side_rows
from partners.services import agreements
from partners.services.amending import AMENDED
from partners.services.signing import side_of
from partners.terms import following_term
from partners.views.editing import on_the_newest

DONE = ("in_force", "withdrawn")
RENEWABLE = ("active", "suspended", "lapsed")


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
        Column(
            "hours",
            _("Ceiling: GPU-hours in all"),
            lambda a: seconds_to_hours(a.ceiling_gpu_seconds),
            cell=lambda a: hours(a.ceiling_gpu_seconds),
            sort="ceiling_gpu_seconds",
            numeric=True,
        ),
        Column(
            "gpus",
            _("Ceiling: GPUs at once"),
            lambda a: a.ceiling_concurrent_gpus,
            sort="ceiling_concurrent_gpus",
            numeric=True,
        ),
        Column("valid_from", _("Valid from"), lambda a: a.valid_from.isoformat(), sort="valid_from"),
        Column("valid_until", _("Valid until"), lambda a: a.valid_until.isoformat(), sort="valid_until"),
        Column("state", _("State"), lambda a: a.state, sort="state", badge="agreement"),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")


class AgreementPage(ObjectPage):
    model = Agreement
    object_name = "agreement"
    template_name = "partners/agreement.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "renews", "renewed_by")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        agreement: Agreement = self.object
        user = self.request.user
        names = dict(gpu_class_choices())
        used = committed(agreement)
        runs = may_run_programme.test(user, None)
        events = AGREEMENT.events_from(agreement.state) if runs else ()
        amendments = list(agreement.amendments.all())
        sides, own_side = side_rows(agreement), side_of(user, agreement) if agreement.state == "draft" else None
        return super().get_context_data(
            ceilings=ceilings(agreement, used),
            years=ceilings_by_year(agreement, used),
            gpu_classes=[names.get(code, code) for code in agreement.gpu_classes],
            pools=pool_names(agreement.pools),
            areas=[(label, code in agreement.cooperation) for code, label in Agreement.Cooperation.choices],
            events=events,
            may_edit="activate" in events,
            runs=runs,
            may_fulfil=runs or may_manage.test(user, agreement.organisation),
            sides=sides,
            own_side=own_side,
            may_sign=any(row.side == own_side and row.signature is None for row in sides),
            amendments=amendments,
            may_amend=runs and agreement.state in AMENDED and all(one.state in DONE for one in amendments),
            may_renew=runs and agreement.state in RENEWABLE and not hasattr(agreement, "renewed_by"),
            obligations=agreement.obligations.select_related("done_by"),
            today=agency_day(timezone.now()),
            **kwargs,
        )


class AgreementNew(ObjectGate, ObjectFormPage):
    """Under its organisation's address."""

    model = Organisation
    object_name = "organisation"
    gate = may_run_programme
    form_class = AgreementForm
    title = _("Register an agreement")
    intro = _("It is kept as a draft until both sides have signed and you activate it. A draft allows nothing yet.")
    submit_label = _("Save as a draft")
    success_message = _("The draft is saved. Check it, have it signed, then activate it.")

    def perform(self, form: Any) -> Agreement:
        return agreements.register_agreement(
            actor=self.request.user,
            organisation=self.object,
            terms=form.terms(),
            document=form.cleaned_data["document"],
            signed_on_paper=form.cleaned_data["signed_on_paper"],
        )


class AgreementGatePage(ObjectGate, ObjectFormPage):
    """A form about an agreement, for officers."""

    model = Agreement
    object_name = "agreement"
    gate = may_run_programme

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")


class AgreementRenew(AgreementGatePage):
    form_class = AgreementForm
    title = _("Renew the agreement")
    intro = _(
        "The draft continues the agreement from the day after its last one. Its terms are the same until you say."
    )
    submit_label = _("Save as a draft")
    success_message = _("The draft of the renewal is saved. Have it signed, then activate it.")

    def get_initial(self) -> dict[str, Any]:
        old: Agreement = self.object
        first, last = following_term(old)
        begin = {"number": "", "signed_on": None, "valid_from": first, "valid_until": last}
        return {**initial_terms(old), **begin}

    def perform(self, form: Any) -> Agreement:
        return agreements.register_agreement(
            actor=self.request.user,
            organisation=self.object.organisation,
            terms=form.terms(),
            document=form.cleaned_data["document"],
            signed_on_paper=form.cleaned_data["signed_on_paper"],
            renews=self.object,
        )


class AgreementEdit(AgreementGatePage):
    form_class = AgreementForm
    title = _("Change the draft")
    intro = _("Choose a file only to replace the document. What was signed before a change is void after it.")
    submit_label = _("Save")
    success_message = _("The draft is saved.")

    def get_initial(self) -> dict[str, Any]:
        return {**initial_terms(self.object), "revision": self.object.revision}

    def perform(self, form: Any) -> Agreement:
        return agreements.edit_agreement(
            actor=self.request.user,
            agreement=self.object,
            terms=form.terms(),
            document=form.cleaned_data["document"],
            signed_on_paper=form.cleaned_data["signed_on_paper"],
            revision=form.cleaned_data["revision"],
        )

    def form_invalid(self, form: Any) -> HttpResponse:
        return super().form_invalid(on_the_newest(form, self.object))


class AgreementSuspend(AgreementGatePage):
    form_class = ReasonForm
    title = _("Suspend the agreement")
    intro = _(
        "New proposals, awards and reservations stop until you resume it, and what was reserved does not begin. "
        "What runs ends by the rule that the agreement states."
    )
    submit_label = _("Suspend")
    danger = True
    success_message = _("The agreement is suspended.")

    def perform(self, form: Any) -> Agreement:
        return agreements.suspend(actor=self.request.user, agreement=self.object, reason=form.cleaned_data["reason"])


class AgreementTerminate(AgreementGatePage):
    form_class = ReasonForm
    title = _("Terminate the agreement")
    intro = _(
        "This cannot be undone. No new proposals, awards or reservations are possible afterwards; reservations that "
        "have not begun are cancelled, and what runs ends by the rule that the agreement states."
    )
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
