"""Changes to what was awarded, for both sides."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from allocations.models import Allocation
from common.errors import RuleBroken
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment, number
from common.web import ListPage, ObjectPage, VerbView, staff_only
from partners.forms import ReasonForm
from proposals.filters import ChangeFilter
from proposals.forms import ChangeForm
from proposals.lifecycle import CHANGE
from proposals.models import ChangeRequest
from proposals.rules import may_answer, may_decide
from proposals.services import changing

_RELATED = (
    "allocation__project__organisation",
    "allocation__pool",
    "pool__gpu_class",
    "lead",
    "asked_by",
    "approved_by",
    "decided_by",
)

MEANS = {
    ChangeRequest.Kind.HOURS: _("The GPU-hours that are left are not enough for the work."),
    ChangeRequest.Kind.TERM: _("The work takes longer than the allocation is valid."),
    ChangeRequest.Kind.POOL: _("What is left moves to another pool or GPU class; open reservations have to end first."),
    ChangeRequest.Kind.LEAD: _("Somebody else of your organisation leads the project from now on."),
}


class ChangeList(ListPage):
    model = ChangeRequest
    filterset_class = ChangeFilter
    title = _("Changes to awards")
    empty_text = _("No change was asked for.")
    export_name = "changes"
    default_order = "-asked_at"
    create_label = _("Ask for a change")
    columns = (
        Column("id", _("Number"), lambda row: row.public_id, link=lambda row: row.get_absolute_url()),
        Column("kind", _("Change"), lambda row: str(row.get_kind_display()), sort="kind"),
        Column("project", _("Project"), lambda row: row.allocation.project.title, sort="allocation__project__title"),
        Column("organisation", _("Organisation"), lambda row: row.allocation.project.organisation.name),
        Column("pool", _("Pool"), lambda row: row.allocation.pool.name, sort="allocation__pool__name"),
        Column(
            "asked_at",
            _("Asked"),
            lambda row: row.asked_at.isoformat(),
            cell=lambda row: moment(row.asked_at),
            sort="asked_at",
        ),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="change request"),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(*_RELATED)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        asked = self.request.GET.get("allocation", "")
        mine = Allocation.objects.visible_to(self.request.user).select_related("project__organisation")  # type: ignore[arg-type]
        found = mine.filter(public_id=asked).first() if asked and "\x00" not in asked else None
        if found and allowed(self.request.user, may_answer, found.project.organisation):
            context["create_url"] = reverse("proposals:change-request-new", args=[found.public_id])
        return context


class _OfAllocation(ObjectGate):
    model: Any = Allocation
    object_name = "allocation"
    gate = may_answer

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("project__organisation", "project__agreement", "pool")  # type: ignore[misc]

    def gate_object(self, obj: Allocation) -> Any:
        return obj.project.organisation


class ChangeNew(_OfAllocation, ObjectPage):
    """From an allocation: first what is to change, for each has a form of its own."""

    template_name = "proposals/change_kinds.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = {row.kind: row for row in self.object.change_requests.filter(state__in=changing.OPEN)}
        kinds = [(kind, means, asked.get(kind), self._nothing(kind)) for kind, means in MEANS.items()]
        return super().get_context_data(kinds=kinds, **kwargs)

    def _nothing(self, kind: str) -> str:
        """Why there is nothing to choose from; empty where there is."""
        try:
            changing.check_choice(self.object, kind, self.request.user)
        except RuleBroken as error:
            return str(error)
        return ""


class ChangeAsk(_OfAllocation, ObjectFormPage):
    """The form of one kind of change."""

    form_class = ChangeForm
    intro = _("An officer looks at it; two where the award is large. You are told the answer.")
    submit_label = _("Ask for it")
    success_message = _("Your request is with the agency.")

    def fetch(self) -> Any:
        if self.kwargs["what"] not in ChangeRequest.Kind.values:
            raise Http404
        return super().fetch()

    def check_open(self) -> None:
        changing.check_choice(self.object, self.kwargs["what"], self.request.user)

    def get_form_kwargs(self) -> dict[str, Any]:
        more = {"allocation": self.object, "user": self.request.user, "kind": self.kwargs["what"]}
        return super().get_form_kwargs() | more

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kind = ChangeRequest.Kind(self.kwargs["what"])
        title = _("Ask for a change: %(kind)s") % {"kind": kind.label}
        return super().get_context_data(**{"title": title, **kwargs})

    def cancel_url(self) -> str:
        return reverse("proposals:change-request-new", args=[self.object.public_id])

    def perform(self, form: Any) -> ChangeRequest:
        reason = form.cleaned_data["reason"]
        return changing.ask(actor=self.request.user, allocation=self.object, wish=form.wish(), reason=reason)


class _Change:
    model: Any = ChangeRequest
    object_name = "change"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(*_RELATED)  # type: ignore[misc]


class _ForStaff:
    """It does not exist for partners."""

    def fetch(self) -> Any:
        staff_only(self.request.user)  # type: ignore[attr-defined]
        return super().fetch()  # type: ignore[misc]


def _shown(name: str, picture: dict[str, Any]) -> str:
    """One line of a snapshot; moments in the reader's zone, hours with separators."""
    value = picture.get(name, "")
    if name.endswith("_hours") and value:
        return number(Decimal(value), 2)
    return moment(datetime.fromisoformat(value)) if name == "valid_until" and value else str(value)


class ChangePage(_Change, ObjectPage):
    """One of them: what is asked, what was before and after, and what may be done."""

    template_name = "proposals/change.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        change, user = self.object, self.request.user
        decides = allowed(user, may_decide) and CHANGE.allows(change.state, "grant")
        open_ = change.state in changing.OPEN
        return super().get_context_data(
            rows=[
                (label, _shown(name, change.before), _shown(name, change.after))
                for name, label in ROWS
                if change.before or change.after
            ],
            needs_second=changing.needs_second(change, change.allocation) if open_ and user.is_agency else False,
            may_grant=decides and change.approved_by_id != user.pk,
            may_decline=decides,
            result=self._moved_to(),
            may_withdraw=open_ and allowed(user, may_answer, change.allocation.project.organisation),
            **kwargs,
        )

    def _moved_to(self) -> Allocation | None:
        """The allocation that a move made; nothing is asked where there was none."""
        change = self.object
        if change.kind != ChangeRequest.Kind.POOL or not change.result_ref:
            return None
        mine = Allocation.objects.visible_to(self.request.user)  # type: ignore[arg-type]
        return mine.filter(public_id=change.result_ref).first()


ROWS = (
    ("allocation", _("Allocation")),
    ("awarded_gpu_hours", _("Awarded, GPU-hours")),
    ("left_gpu_hours", _("Left, GPU-hours")),
    ("valid_until", _("Valid until")),
    ("pool", _("Pool")),
    ("gpus", _("GPUs at once")),
    ("guaranteed_gpus", _("of these guaranteed")),
    ("lead", _("Lead of the project")),
)


class ChangeWithdraw(_Change, VerbView):
    success_message = _("The request is withdrawn.")

    def perform(self) -> None:
        changing.withdraw(actor=self.request.user, change=self.object)


class ChangeGrant(_ForStaff, _Change, VerbView):
    def perform(self) -> None:
        made = changing.grant(actor=self.request.user, change=self.object)
        self.success_message = (
            _("The change is made, and the partner is told.")
            if made.state == "granted"
            else _("Your yes is noted. A second officer has to agree.")
        )


class ChangeDecline(_ForStaff, _Change, ObjectGate, ObjectFormPage):
    gate = may_decide
    form_class = ReasonForm
    title = _("Decline the change")
    submit_label = _("Decline the change")
    danger = True
    success_message = _("The change is declined. The partner is told the reason.")

    def perform(self, form: Any) -> ChangeRequest:
        return changing.decline(actor=self.request.user, change=self.object, reason=form.cleaned_data["reason"])
