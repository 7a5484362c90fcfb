"""What an hour on each pool is charged as: everybody may read it, officers announce and withdraw."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from allocations.charging import NORMAL
from allocations.filters import WeightFilter
from allocations.forms.books import ReasonForm, WeightForm
from allocations.models import PoolWeight
from allocations.rules import may_weigh
from allocations.selectors.weights import listed, standing
from allocations.services import weighing
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate, ObjectGate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment, number
from common.web import ListPage

STANDINGS = {
    "withdrawn": _("withdrawn"),
    "announced": _("announced"),
    "in_force": _("in force"),
    "past": _("past"),
}
COLUMNS: tuple[Column, ...] = (
    Column("pool", _("Pool"), lambda row: row.pool.name, sort="pool__name"),
    Column(
        "weight",
        _("An hour is charged as, GPU-hours"),
        lambda row: row.weight / NORMAL,
        cell=lambda row: number(row.weight / NORMAL, 3),
        sort="weight",
        numeric=True,
    ),
    Column(
        "from",
        _("From"),
        lambda row: row.valid_from.isoformat(),
        cell=lambda row: moment(row.valid_from),
        sort="valid_from",
    ),
    Column("standing", _("State"), lambda row: STANDINGS[standing(row)]),
    Column(
        "announced",
        _("Announced"),
        lambda row: row.announced_at.isoformat(),
        cell=lambda row: moment(row.announced_at),
        sort="announced_at",
    ),
    Column("reason", _("Reason"), lambda row: row.reason),
)
WITHDRAW = Column(
    "withdraw",
    _("Withdraw"),
    lambda row: "",
    cell=lambda row: _("Withdraw") if standing(row) == "announced" else "",
    link=lambda row: (
        reverse("allocations:weight-withdraw", args=[row.public_id]) if standing(row) == "announced" else None
    ),
)


class WeightList(ListPage):
    """Every weight that was announced."""

    model = PoolWeight
    filterset_class = WeightFilter
    title = _("What an hour is charged as")
    empty_text = _("No pool has a weight: an hour on a GPU is charged as one GPU-hour.")
    export_name = "weights"
    default_order = "-valid_from"
    columns = COLUMNS
    create_url_name = "allocations:weight-new"
    create_label = _("Announce a weight")

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if self.may_create():
            self.columns = (*COLUMNS, WITHDRAW)

    def may_create(self) -> bool:
        user = self.request.user
        return user.is_authenticated and allowed(user, may_weigh)

    def get_queryset(self) -> Any:
        return listed(super().get_queryset(), timezone.now())


class WeightNew(Gate, FormPage):
    """From a moment on."""

    gate = may_weigh
    form_class = WeightForm
    title = _("Announce a weight")
    intro = _(
        "It holds for what is booked, changed or extended from now on. What is booked already keeps the weight under "
        "which it was booked. A reservation across the moment is split there."
    )
    submit_label = _("Announce it")
    success_message = _("The weight is announced, and the partners of the pool are told.")

    def cancel_url(self) -> str:
        return reverse("allocations:weights")

    def get_initial(self) -> dict[str, Any]:
        return {"pool": self.request.GET.get("pool", "")}

    def perform(self, form: Any) -> PoolWeight:
        return weighing.announce(actor=self.request.user, **form.said())


class WeightWithdraw(ObjectGate, ObjectFormPage):
    """Before it begins."""

    model = PoolWeight
    gate = may_weigh
    form_class = ReasonForm
    title = _("Withdraw an announced weight")
    intro = _("It will not come into force. What was booked under it meanwhile keeps it.")
    submit_label = _("Withdraw it")
    danger = True
    success_message = _("The weight is withdrawn, and the partners of the pool are told.")

    def perform(self, form: Any) -> PoolWeight:
        return weighing.withdraw(actor=self.request.user, weight=self.object, reason=form.cleaned_data["reason"])
