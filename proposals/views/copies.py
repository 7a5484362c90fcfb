"""The page that copies a proposal into another call."""

from typing import Any

from django.contrib import messages
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from proposals.forms import CopyForm, next_call
from proposals.models import Proposal
from proposals.rules import may_propose
from proposals.services.cloning import copy_proposal


class ProposalCopy(ObjectGate, ObjectFormPage):
    model = Proposal
    object_name = "proposal"
    gate = may_propose
    form_class = CopyForm
    title = gettext_lazy("Copy into another call")
    intro = gettext_lazy(
        "Texts, team, request lines and the answers to the same questions come along; the windows are moved to lie as "
        "far ahead as before. Files stay behind. The copy is a draft that you can change."
    )
    submit_label = gettext_lazy("Copy")

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "call", "agreement")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user, "proposal": self.object}

    def get_initial(self) -> dict[str, Any]:
        following = next_call(self.object) or self.object.call
        return {"call": following.public_id, "agreement": self.object.agreement.public_id}

    def perform(self, form: Any) -> str:
        copied = copy_proposal(actor=self.request.user, proposal=self.object, **form.cleaned_data)
        if copied.left_out:
            messages.warning(self.request, _("Left behind: %(what)s.") % {"what": ", ".join(copied.left_out)})
        self.success_message = _("This is the copy. Please look at the windows of the request lines.")
        return reverse("proposals:edit-lines", args=[copied.proposal.public_id])
