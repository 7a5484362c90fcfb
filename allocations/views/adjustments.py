"""Corrections of balances: one officer proposes, another one decides."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from allocations.filters import AdjustmentFilter
from allocations.forms.books import AdjustForm, ReasonForm
from allocations.forms.verbs import ConfirmForm
from allocations.lifecycle import ADJUSTMENT
from allocations.models import Adjustment, Allocation
from allocations.rules import may_adjust
from allocations.selectors.balances import balance
from allocations.services import adjusting
from allocations.views.agency import Agency
from common.form_pages import ObjectFormPage
from common.gates import Gate
from common.permissions import allowed
from common.quantities import seconds_to_hours
from common.tables import Column
from common.templatetags.bitgoeul import hours, moment
from common.web import ListPage, ObjectPage


class AdjustmentList(Agency, ListPage):
    """What waits for a second person, and what was decided."""

    model = Adjustment
    filterset_class = AdjustmentFilter
    title = _("Adjustments")
    empty_text = _("No adjustment yet. Propose one from an allocation's page.")
    export_name = "adjustments"
    default_order = "-proposed_at"
    columns = (
        Column("id", _("Number"), lambda row: row.public_id, link=lambda row: row.get_absolute_url()),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="adjustment"),
        Column(
            "allocation",
            _("Allocation"),
            lambda row: str(row.allocation),
            link=lambda row: row.allocation.get_absolute_url(),
            sort="allocation__project__title",
        ),
        Column(
            "hours",
            _("GPU-hours"),
            lambda row: seconds_to_hours(row.device_seconds),
            cell=lambda row: hours(row.device_seconds),
            sort="device_seconds",
            numeric=True,
        ),
        Column("reason", _("Reason"), lambda row: row.reason),
        Column("proposed_by", _("Proposed by"), lambda row: str(row.proposed_by), sort="proposed_by__name"),
        Column(
            "proposed",
            _("Proposed"),
            lambda row: row.proposed_at.isoformat(),
            cell=lambda row: moment(row.proposed_at),
            sort="proposed_at",
        ),
        Column("decided_by", _("Decided by"), lambda row: str(row.decided_by or "")),
    )

    def get_queryset(self) -> Any:
        return (
            super()
            .get_queryset()
            .select_related("allocation__project", "allocation__pool", "proposed_by", "decided_by")
        )


class _AdjustmentMixin:
    model: Any = Adjustment
    object_name = "adjustment"

    def get_queryset(self) -> Any:
        rows = super().get_queryset()  # type: ignore[misc]
        return rows.select_related("allocation__project__organisation", "allocation__pool", "proposed_by", "decided_by")


class AdjustmentPage(Agency, _AdjustmentMixin, ObjectPage):
    """One adjustment and what may be done with it."""

    template_name = "allocations/adjustment.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        adjustment, user = self.object, self.request.user
        is_open = ADJUSTMENT.allows(adjustment.state, "confirm") and allowed(user, may_adjust)
        mine = adjustment.proposed_by_id == user.pk
        found = balance(adjustment.allocation)
        return super().get_context_data(
            balance=found,
            left_then=found.left + adjustment.device_seconds,
            may_decide=is_open and not mine,
            may_withdraw=is_open and mine,
            **kwargs,
        )


class AdjustmentNew(Gate, ObjectFormPage):
    """From the page of an allocation."""

    gate = may_adjust
    model = Allocation
    form_class = AdjustForm
    title = _("Propose an adjustment")
    intro = _("Nothing moves until another officer has confirmed it. The partner is told then, with both names.")
    submit_label = _("Propose it")
    success_message = _("The adjustment is proposed. Another officer must confirm it.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("project", "pool")

    def perform(self, form: Any) -> Adjustment:
        return adjusting.propose(actor=self.request.user, allocation=self.object, **form.said())


class _Decide(Gate, _AdjustmentMixin, ObjectFormPage):
    gate = may_adjust
    form_class: Any = ConfirmForm


class AdjustmentConfirm(_Decide):
    """The second person says yes."""

    title = _("Confirm the adjustment")
    submit_label = _("Confirm it")
    success_message = _("The adjustment is in the ledger, and the partner is told.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = _("%(hours)s GPU-hours for %(allocation)s, proposed by %(by)s: %(reason)s")
        values = {
            "hours": hours(self.object.device_seconds),
            "allocation": self.object.allocation,
            "by": self.object.proposed_by,
            "reason": self.object.reason,
        }
        return super().get_context_data(intro=text % values, **kwargs)

    def perform(self, form: Any) -> Adjustment:
        return adjusting.confirm(actor=self.request.user, adjustment=self.object)


class AdjustmentReject(_Decide):
    """The second person says no."""

    form_class = ReasonForm
    title = _("Reject the adjustment")
    submit_label = _("Reject it")
    danger = True
    success_message = _("The adjustment is rejected. Nothing has moved.")

    def perform(self, form: Any) -> Adjustment:
        return adjusting.reject(actor=self.request.user, adjustment=self.object, reason=form.cleaned_data["reason"])


class AdjustmentWithdraw(_Decide):
    """Whoever proposed it thinks again."""

    title = _("Withdraw the adjustment")
    submit_label = _("Withdraw it")
    danger = True
    success_message = _("The adjustment is withdrawn. Nothing has moved.")

    def perform(self, form: Any) -> Adjustment:
        return adjusting.withdraw(actor=self.request.user, adjustment=self.object)
