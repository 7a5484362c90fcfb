"""Pages about what is changed in an agreement."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.moments import agency_day
from common.web import ObjectPage, VerbView
from partners.forms import AmendmentForm, initial_terms
from partners.lifecycle import AMENDMENT
from partners.models import Amendment
from partners.selectors.amendments import shown_changes
from partners.selectors.signatures import side_rows
from partners.services import amending, signing
from partners.terms import typed
from partners.views.agreements import AgreementGatePage


class AmendmentPage(ObjectPage):
    model = Amendment
    object_name = "amendment"
    template_name = "partners/amendment.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("agreement__organisation")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        amendment: Amendment = self.object
        user = self.request.user
        runs = may_run_programme.test(user, None)
        sides = side_rows(amendment)
        own_side = signing.side_of(user, amendment) if amendment.state == "draft" else None
        return super().get_context_data(
            changes=shown_changes(amendment.changes),
            sides=sides,
            own_side=own_side,
            may_sign=any(row.side == own_side and row.signature is None for row in sides),
            events=AMENDMENT.events_from(amendment.state) if runs else (),
            runs=runs,
            **kwargs,
        )


class AmendmentNew(AgreementGatePage):
    """Under its agreement's address."""

    form_class = AmendmentForm
    title = _("Amend the agreement")
    intro = _("Write the terms as they are to be. The amendment’s page shows what changes; both sides sign it.")
    submit_label = _("Save as a draft")
    success_message = _("The draft of the amendment is saved. Have it signed, then put it into force.")

    def get_initial(self) -> dict[str, Any]:
        return {**initial_terms(self.object), "effective_from": agency_day(timezone.now())}

    def perform(self, form: Any) -> Amendment:
        return amending.draft_amendment(
            actor=self.request.user,
            agreement=self.object,
            draft=form.draft(self.object),
            document=form.cleaned_data["document"],
        )


class AmendmentEdit(ObjectGate, ObjectFormPage):
    model = Amendment
    object_name = "amendment"
    gate = may_run_programme
    form_class = AmendmentForm
    title = _("Change the draft of the amendment")
    intro = _("Choose a file only to replace the document. What was signed before a change is void after it.")
    submit_label = _("Save")
    success_message = _("The draft is saved.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("agreement__organisation")

    def get_initial(self) -> dict[str, Any]:
        amendment: Amendment = self.object
        changed = {name: typed(name, after) for name, (_before, after) in amendment.changes.items()}
        return {
            **initial_terms(amendment.agreement, changed),
            "reason": amendment.reason,
            "effective_from": amendment.effective_from,
        }

    def perform(self, form: Any) -> Amendment:
        return amending.edit_amendment(
            actor=self.request.user,
            amendment=self.object,
            draft=form.draft(self.object.agreement),
            document=form.cleaned_data["document"],
        )


class _AmendmentVerb(VerbView):
    model = Amendment

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("agreement__organisation")


class AmendmentAgree(_AmendmentVerb):
    success_message = _("The amendment is agreed. It takes effect on its day.")

    def perform(self) -> None:
        amending.agree(actor=self.request.user, amendment=self.object)


class AmendmentWithdraw(_AmendmentVerb):
    success_message = _("The amendment is withdrawn.")

    def perform(self) -> None:
        amending.withdraw(actor=self.request.user, amendment=self.object)
