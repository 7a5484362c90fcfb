"""Writing a proposal. Works without JavaScript: adding a line and checking are submit buttons that keep all."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views import View

from common.errors import DomainError
from common.gates import ObjectGate
from common.web import ObjectMixin, ObjectServicePage
from partners.models import Agreement
from partners.selectors import managed_agreements
from proposals.asks import MAX_LINES, DraftContent
from proposals.forms import ProposalForm, initial_lines, line_forms, typed_lines
from proposals.models import Call, Proposal
from proposals.rules import may_propose
from proposals.selectors import check_lines
from proposals.services import drafting


class _Editor(ObjectServicePage):
    """Form, lines and check panel; `action` says which button was pressed."""

    template_name = "proposals/editor.html"
    form_class = ProposalForm
    proposal: Proposal | None = None

    @property
    def call(self) -> Call:
        """The call that the proposal answers."""
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rows = self.proposal.lines.select_related("gpu_class") if self.proposal else []
        self.lines = line_forms(self.call, initial=initial_lines(rows) or [{}])
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action = request.POST.get("action", "save")
        if action == "add_line" or action.startswith("remove_line:"):
            return self._reshape(action)
        form = self.get_form()
        self.lines = line_forms(self.call, data=request.POST)
        if not (self.lines.is_valid() & form.is_valid()):
            return self.form_invalid(form)
        return self._checked(form) if action == "check" else self.form_valid(form)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user, "proposal": self.proposal}

    def get_initial(self) -> dict[str, Any]:
        if self.proposal is None:
            return {}
        names = ("title", "purposes", "plan", "data")
        initial = {name: getattr(self.proposal, name) for name in names}
        return {**initial, "agreement": self.proposal.agreement.public_id}

    def perform(self, form: Any) -> str:
        typed, filled = form.cleaned_data, self.lines.filled()
        content = DraftContent(
            typed["title"], typed["purposes"], typed["plan"], typed["data"], [line for _form, line in filled]
        )
        try:
            proposal = drafting.save_draft(
                actor=self.request.user,
                call=self.call,
                agreement=typed["agreement"],
                content=content,
                proposal=self.proposal,
            )
            if self.request.POST.get("action") != "submit":
                self.success_message = _("The draft is saved. Nobody but your organisation sees it.")
                return reverse("proposals:proposal-edit", args=[proposal.public_id])
            proposal = drafting.submit(actor=self.request.user, proposal=proposal)
        except DomainError as error:
            raise self._placed(error, [line_form for line_form, _line in filled]) from None
        self.success_message = _("The proposal is submitted. Its number is %(number)s.") % {"number": proposal.number}
        return proposal.get_absolute_url()

    def form_invalid(self, form: forms.BaseForm) -> HttpResponse:
        self.checks = self._checks(form)
        return super().form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            lines=self.lines,
            call=self.call,
            proposal=self.proposal,
            checks=getattr(self, "checks", None),
            most_lines=MAX_LINES,
            may_add_line=self.lines.total_form_count() < MAX_LINES,
            check_url=reverse("proposals:proposal-check", args=[self.call.public_id]),
            cancel_url=(self.proposal or self.call).get_absolute_url(),
            **kwargs,
        )

    def _placed(self, error: DomainError, line_forms_: list[Any]) -> DomainError:
        """A refusal of a line goes to its field; at the head of the form stands where to look."""
        parts = (error.field or "").split(".")
        if parts[0] != "lines" or len(parts) != 3:
            return error
        line_form = line_forms_[int(parts[1])]
        line_form.add_error(parts[2] if parts[2] in line_form.fields else None, str(error))
        return DomainError(
            _("A request line cannot be asked for like this. Please look at the marked line."), code=error.code
        )

    def _reshape(self, action: str) -> HttpResponse:
        """One line more or less, with everything that was typed."""
        typed = typed_lines(self.request.POST)
        if action == "add_line":
            typed = [*typed, {}][:MAX_LINES]
        else:
            place = action.partition(":")[2]
            typed = [line for number, line in enumerate(typed) if str(number) != place] or [{}]
        self.lines = line_forms(self.call, initial=typed)
        data: dict[str, Any] = self.request.POST.dict()
        data["purposes"] = self.request.POST.getlist("purposes")
        form = ProposalForm(initial=data, user=self.request.user, proposal=self.proposal)
        return self.render_to_response(self.get_context_data(form=form))

    def _checked(self, form: Any) -> HttpResponse:
        self.checks = self._checks(form)
        return self.render_to_response(self.get_context_data(form=form))

    def _checks(self, form: Any) -> list[Any]:
        agreement = getattr(form, "cleaned_data", {}).get("agreement")
        lines = [line for _form, line in self.lines.filled()]
        return check_lines(agreement, lines, self.call) if agreement and lines else []


class ProposalNew(_Editor):
    """A new proposal for a call."""

    model = Call
    object_name = "call_object"

    def fetch(self) -> Call:
        call = super().fetch()
        if not managed_agreements(self.request.user).exists():
            raise PermissionDenied(
                _("You can propose when your organisation has an active agreement and you are its owner or manager.")
            )
        return call

    @property
    def call(self) -> Call:
        return self.object


class ProposalEdit(ObjectGate, _Editor):
    """A draft, or a proposal that was returned."""

    model = Proposal
    gate = may_propose

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "agreement", "call")

    def fetch(self) -> Proposal:
        self.proposal = super().fetch()
        return self.proposal

    @property
    def call(self) -> Call:
        return self.object.call


class ProposalCheck(ObjectMixin, View):
    """The live panel: what agreement and capacity say about the lines as they stand. A fragment, nothing is kept."""

    model = Call
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        lines = line_forms(self.object, data=request.POST)
        lines.is_valid()
        whole = [line for _form, line in lines.filled()]
        asked = str(request.POST.get("agreement", ""))
        agreement = get_object_or_404(Agreement.objects.visible_to(request.user), public_id=asked)
        checks = check_lines(agreement, whole, self.object)
        return render(request, "proposals/_check.html", {"checks": checks, "live": True})
