"""Where a proposal begins, and where somebody who comes back goes on."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.gates import ObjectGate
from common.web import ObjectMixin, ObjectServicePage, View
from partners.selectors import managed_agreements
from proposals.asks import DraftContent
from proposals.forms import AboutForm
from proposals.models import Call, Proposal
from proposals.rules import may_propose
from proposals.selectors import draft_of
from proposals.services import drafting


class ProposalNew(ObjectServicePage):
    """A new proposal for a call: its first page. From the second on it saves by itself."""

    model = Call
    object_name = "call"
    template_name = "proposals/editor/new.html"
    form_class = AboutForm
    success_message = _("The draft is saved. Nobody but your organisation sees it.")

    def fetch(self) -> Call:
        call: Call = super().fetch()
        if not managed_agreements(self.request.user).exists():
            raise PermissionDenied(
                _("You can propose when your organisation has an active agreement and you are its owner or manager.")
            )
        return call

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(now=timezone.now(), cancel_url=self.object.get_absolute_url(), **kwargs)

    def perform(self, form: Any) -> str:
        typed = form.cleaned_data
        content = DraftContent(typed["title"], typed["purposes"])
        proposal = drafting.save_draft(
            actor=self.request.user, call=self.object, agreement=typed["agreement"], content=content
        )
        return reverse("proposals:edit-plan", args=[proposal.public_id])


class EditStart(ObjectGate, ObjectMixin, View):
    """To the first page on which something is missing; to the last one where nothing is."""

    model = Proposal
    gate = may_propose

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "call")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        gaps = draft_of(self.object).gaps
        step = gaps[0].step if gaps else "submit"
        return HttpResponseRedirect(reverse(f"proposals:edit-{step}", args=[self.object.public_id]))
