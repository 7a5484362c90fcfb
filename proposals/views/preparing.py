"""Decisions before they are said: written, approved, looked at together, released."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from common.errors import DomainError, WrongState
from common.form_pages import FormPage
from common.gates import Gate
from common.overtaken import SavedMeanwhile
from common.permissions import allowed
from common.web import ObjectPage, VerbView
from proposals.filters import WAITING
from proposals.forms import DeclineManyForm, PrepareForm
from proposals.lifecycle import PREPARED
from proposals.models import PreparedDecision, Proposal
from proposals.rules import may_decide
from proposals.selectors import OPEN_PREPARED
from proposals.services import beforehand, preparing, second
from proposals.views.opened import version_of
from proposals.views.staff import Decide

_ROWS = PreparedDecision.objects.select_related(
    "proposal__call", "proposal__organisation", "prepared_by", "approved_by", "decision"
)


class Prepare(Decide):
    """The same rows as an award, beside what else can be decided; kept, and said to nobody."""

    template_name = "proposals/prepare.html"
    form_class = PrepareForm
    title = _("Prepare the decision")
    submit_label = _("Prepare")
    success_message = _("The decision is prepared. Nobody but the agency knows it until it is released.")
    overtaken: WrongState | None = None

    def check_open(self) -> None:
        beforehand.check_preparing(self.request.user, self.object)

    @property
    def stored(self) -> PreparedDecision | None:
        """What is prepared now, if anything."""
        if not hasattr(self, "_stored"):
            rows = self.object.prepared.filter(state__in=OPEN_PREPARED).select_related("prepared_by")
            self._stored = rows.prefetch_related("lines__pool").first()
        found: PreparedDecision | None = self._stored
        return found

    def get_initial(self) -> dict[str, Any]:
        row = self.stored
        if row is None:
            return {}
        return {"kind": row.kind, "reason": row.reason, "override_reason": row.override_reason}

    def given(self) -> dict[int, Any]:
        row = self.stored
        return {line.request_id: line for line in row.lines.all()} if row and row.kind == "award" else {}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.POST.get("kind") == PreparedDecision.Kind.AWARD:
            return super().post(request, *args, **kwargs)
        self.rows = self._rows(request.POST)  # kept as they were typed, and not asked
        form = self.get_form()
        return self.form_valid(form) if form.is_valid() else self.form_invalid(form)

    def perform(self, form: Any) -> PreparedDecision:
        said = form.cleaned_data
        asked = self.rows if said["kind"] == PreparedDecision.Kind.AWARD else []
        given = [(row, row.ask) for row in asked if row.ask]
        try:
            return preparing.prepare(
                actor=self.request.user,
                proposal=self.object,
                lines=[ask for _row, ask in given],
                version=version_of(self.request),
                **said,
            )
        except DomainError as error:
            if error.code == "overtaken" and isinstance(error, WrongState):
                self.overtaken = error
            raise self._placed(error, [row for row, _ask in given]) from None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = (
            version_of(self.request) if self.request.method == "POST" else (self.stored.version if self.stored else 0)
        )
        return super().get_context_data(
            overtaken=self.overtaken if isinstance(self.overtaken, SavedMeanwhile) else None,
            version=self.overtaken.facts["version"] if self.overtaken else said,
            threshold=self.object.call.two_person_gpu_seconds,
            **kwargs,
        )


class _Prepared:
    model: Any = PreparedDecision
    object_name = "prepared"

    def get_queryset(self) -> Any:
        return _ROWS.all().visible_to(self.request.user)  # type: ignore[attr-defined]


class PreparedPage(_Prepared, ObjectPage):
    """One of them: what it says, whether it takes a second person, and what may be done with it."""

    template_name = "proposals/prepared.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row, user = self.object, self.request.user
        decides = allowed(user, may_decide)
        lines = list(row.lines.select_related("pool", "request__gpu_class"))
        gpu_seconds = sum(line.gpu_seconds for line in lines)
        return super().get_context_data(
            lines=lines,
            gpu_seconds=gpu_seconds,
            needs_second=row.kind == "award"
            and second.needs_second(row.proposal.call, gpu_seconds, row.override_reason),
            is_large=second.is_large(row.proposal.call, gpu_seconds),
            may_edit=decides and PREPARED.allows(row.state, "edit"),
            may_approve=decides and PREPARED.allows(row.state, "approve") and row.prepared_by_id != user.pk,
            may_release=decides and PREPARED.allows(row.state, "release"),
            **kwargs,
        )


class PreparedApprove(_Prepared, VerbView):
    success_message = _("You have approved it as the second person. It can be released now.")

    def perform(self) -> None:
        preparing.approve(actor=self.request.user, prepared=self.object, version=version_of(self.request))


class PreparedDiscard(_Prepared, VerbView):
    success_message = _("It is discarded. Nothing was said to the partner.")

    def perform(self) -> Proposal:
        preparing.discard(actor=self.request.user, prepared=self.object)
        proposal: Proposal = self.object.proposal
        return proposal


class DeclineMany(Gate, FormPage):
    """Prepare to decline many proposals of a call with one reason; they are released like all others."""

    gate = may_decide
    form_class = DeclineManyForm
    title = _("Prepare refusals")
    intro = _("Nothing is said yet: what is prepared here is released from the list of prepared decisions.")
    submit_label = _("Prepare the refusals")

    def waiting(self) -> list[Proposal]:
        """Those that wait for a decision and have none prepared; `?call=` narrows it to a call."""
        if not hasattr(self, "_waiting"):
            rows = Proposal.objects.visible_to(self.request.user).filter(state__in=(*WAITING, "held"))  # type: ignore[arg-type]
            rows = rows.exclude(prepared__state__in=OPEN_PREPARED).select_related("organisation", "call")
            if call := self.request.GET.get("call", "").replace("\x00", ""):
                rows = rows.filter(call__public_id=call)
            self._waiting = list(rows.order_by("number")[:1_000])
        return self._waiting

    def cancel_url(self) -> str:
        call = self.request.GET.get("call", "")
        return reverse("proposals:prepared-list") + (f"?call={call}" if call.replace("-", "").isalnum() else "")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"waiting": self.waiting()}

    def perform(self, form: Any) -> str:
        chosen = set(form.cleaned_data["proposals"])
        made = preparing.prepare_declines(
            actor=self.request.user,
            proposals=[row for row in self.waiting() if row.public_id in chosen],
            reason=form.cleaned_data["reason"],
        )
        messages.success(
            self.request,
            ngettext("%(count)s refusal is prepared.", "%(count)s refusals are prepared.", len(made))
            % {"count": len(made)},
        )
        return self.cancel_url()
