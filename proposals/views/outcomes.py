"""Hold and resume; a partner's appeal and its answer."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.web import VerbView
from partners.forms import ReasonForm
from proposals.models import Proposal
from proposals.rules import may_answer
from proposals.services import appealing, decisions
from proposals.views.staff import Staff, StaffDecision


class Hold(StaffDecision):
    event = "hold"
    title = _("Put on hold")
    intro = _("The proposal stays with us and is decided later. The partner gets a letter with the reason.")
    submit_label = _("Put on hold")
    success_message = _("The proposal is on hold.")

    def perform(self, form: Any) -> Proposal:
        return decisions.hold(actor=self.request.user, proposal=self.object, reason=form.cleaned_data["reason"])


class Resume(Staff, VerbView):
    model = Proposal
    success_message = _("The proposal is in review again. The partner knows.")

    def perform(self) -> None:
        decisions.resume(actor=self.request.user, proposal=self.object)


class ProposalAppeal(ObjectGate, ObjectFormPage):
    model = Proposal
    object_name = "proposal"
    gate = may_answer
    form_class = ReasonForm
    title = _("Appeal against the decision")
    intro = _("There is one appeal. An officer who did not decide it looks at it again and answers with a reason.")
    submit_label = _("Appeal")
    success_message = _("Your appeal is with the agency. You will be told the answer.")

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def check_open(self) -> None:
        appealing.check(self.object)

    def perform(self, form: Any) -> Proposal:
        return appealing.appeal(
            actor=self.request.user, proposal=self.object, reason=form.cleaned_data["reason"]
        ).proposal


class Dismiss(StaffDecision):
    event = "dismiss"
    title = _("Dismiss the appeal")
    intro = _("The decision stands. The partner gets a letter with the reason; there is no second appeal.")
    submit_label = _("Dismiss the appeal")
    danger = True
    success_message = _("The appeal is dismissed.")

    def perform(self, form: Any) -> Proposal:
        reason = form.cleaned_data["reason"]
        return appealing.dismiss(actor=self.request.user, proposal=self.object, reason=reason).proposal


class Uphold(StaffDecision):
    event = "uphold"
    title = _("Uphold the appeal")
    intro = _("The proposal is in review again and is decided anew. The partner gets a letter with the reason.")
    submit_label = _("Uphold the appeal")
    success_message = _("The appeal is upheld: the proposal is in review again.")

    def perform(self, form: Any) -> Proposal:
        reason = form.cleaned_data["reason"]
        return appealing.uphold(actor=self.request.user, proposal=self.object, reason=reason).proposal
