"""Pages about what a partner owes under an agreement."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.moments import agency_day
from common.web import VerbView
from partners.forms import FulfilForm, ObligationForm
from partners.models import Agreement, Obligation
from partners.rules import may_manage
from partners.services import obligations
from partners.views.agreements import AgreementGatePage


class ObligationNew(AgreementGatePage):
    """Under its agreement's address."""

    form_class = ObligationForm
    title = _("Add an obligation")
    submit_label = _("Save")
    success_message = _("The obligation is saved. The partner is reminded 14 and 3 days before its day.")

    def perform(self, form: Any) -> Agreement:
        obligations.add_obligation(actor=self.request.user, agreement=self.object, **form.cleaned_data)
        return self.object  # type: ignore[no-any-return]


class _ObligationForm(ObjectGate, ObjectFormPage):
    model = Obligation
    object_name = "obligation"
    gate: Any = may_run_programme

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("agreement__organisation")

    def gate_object(self, obj: Any) -> Any:
        return obj.agreement.organisation

    def cancel_url(self) -> str:
        return str(self.object.agreement.get_absolute_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{"object": self.object.agreement, **kwargs})


class ObligationEdit(_ObligationForm):
    form_class = ObligationForm
    title = _("Change the obligation")
    submit_label = _("Save")
    success_message = _("The obligation is saved.")

    def get_initial(self) -> dict[str, Any]:
        return {name: getattr(self.object, name) for name in ("kind", "text", "due_on")}

    def perform(self, form: Any) -> Agreement:
        changed = obligations.edit_obligation(actor=self.request.user, obligation=self.object, **form.cleaned_data)
        return changed.agreement


class ObligationFulfil(_ObligationForm):
    gate = may_manage | may_run_programme
    form_class = FulfilForm
    title = _("Report as done")
    submit_label = _("Report as done")
    success_message = _("Thank you. The agency is told.")

    def get_initial(self) -> dict[str, Any]:
        return {"done_on": agency_day(timezone.now())}

    def perform(self, form: Any) -> Agreement:
        return obligations.fulfil(actor=self.request.user, obligation=self.object, **form.cleaned_data).agreement


class _ObligationVerb(VerbView):
    model = Obligation

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("agreement__organisation")


class ObligationReopen(_ObligationVerb):
    success_message = _("The obligation is open again.")

    def perform(self) -> Any:
        return obligations.reopen(actor=self.request.user, obligation=self.object).agreement


class ObligationRemove(_ObligationVerb):
    success_message = _("The obligation is removed.")

    def perform(self) -> Any:
        return obligations.remove_obligation(actor=self.request.user, obligation=self.object)
