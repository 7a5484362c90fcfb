"""What the agency sees and decides of the wait-list."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from allocations.filters import WaitEntryFilter
from allocations.forms.waitlist import HoldForm, PriorityForm, RemoveForm
from allocations.models import Allocation, WaitEntry
from allocations.rules import may_award
from allocations.selectors import waitlist as order
from allocations.services.pools import hold_offers
from allocations.services.waitlist import prioritise, remove
from cluster.models import Pool
from common.form_pages import ObjectFormPage
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import duration, moment
from common.web import ListPage, staff_only


def _removal(entry: WaitEntry) -> str:
    return reverse("allocations:waitlist-remove", args=[entry.public_id])


def _wanted(entry: WaitEntry) -> str:
    """How many of what, and the fewest that help where they are fewer."""
    most = f"{entry.device_count} × {entry.profile}" if entry.profile else f"{entry.device_count}"
    return most if entry.smallest == entry.device_count else f"{entry.smallest}–{most}"


class StaffMixin:
    """404 for everybody but the agency."""

    request: Any

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """The page does not exist for others."""
        if request.user.is_authenticated:
            staff_only(request.user)
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]


class StaffWaitList(StaffMixin, ListPage):
    """Everybody who waits, with names, in the published order."""

    model = WaitEntry
    filterset_class = WaitEntryFilter
    title = _("Wait-list")
    empty_text = _("Nobody is on the wait-list.")
    export_name = "wait-list"
    template_name = "allocations/staff_waitlist.html"
    default_order = "place"
    columns = (
        Column("place", _("Place"), lambda row: row.place, sort="place", numeric=True),
        Column("id", _("Number"), lambda row: row.public_id, csv_only=True),
        Column("organisation", _("Organisation"), lambda row: row.allocation.project.organisation.name),
        Column(
            "project",
            _("Project"),
            lambda row: row.allocation.project.title,
            link=lambda row: row.allocation.get_absolute_url(),
        ),
        Column("pool", _("Pool"), lambda row: row.allocation.pool.name, sort="allocation__pool__name"),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="wait-list entry"),
        Column(
            "gpus",
            _("GPUs"),
            lambda row: row.device_count,
            cell=_wanted,
            sort="device_count",
            numeric=True,
        ),
        Column("profile", _("MIG profile"), lambda row: row.profile, csv_only=True),
        Column("smallest", _("Fewest"), lambda row: row.smallest, csv_only=True),
        Column(
            "hours",
            _("Length"),
            lambda row: row.duration_seconds,
            cell=lambda row: duration(row.duration),
            sort="duration_seconds",
        ),
        Column(
            "latest",
            _("Done by"),
            lambda row: row.latest_at.isoformat(),
            cell=lambda row: moment(row.latest_at),
            sort="latest_at",
        ),
        Column(
            "priority",
            _("Priority"),
            lambda row: row.allocation.priority,
            link=lambda row: reverse("allocations:allocation-priority", args=[row.allocation.public_id]),
            sort="allocation__priority",
            numeric=True,
        ),
        Column(
            "served",
            _("Last served"),
            lambda row: row.last_served_at.isoformat() if row.last_served_at else "",
            cell=lambda row: moment(row.last_served_at),
        ),
        Column("missed", _("Not taken"), lambda row: row.missed, sort="missed", numeric=True),
        Column(
            "joined",
            _("On the list since"),
            lambda row: row.joined_at.isoformat(),
            cell=lambda row: moment(row.joined_at),
            sort="joined_at",
        ),
        Column(
            "offer",
            _("Offer"),
            lambda row: row.lease.public_id if row.lease else "",
            link=lambda row: row.lease.get_absolute_url() if row.lease else None,
        ),
        Column(
            "remove",
            "",
            lambda row: "",
            cell=lambda row: _("Remove") if row.over_at is None else "",
            link=lambda row: _removal(row) if row.over_at is None else None,
        ),
    )

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        rows = rows.select_related("allocation__project__organisation", "allocation__pool", "lease")
        return order.with_places(rows)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(may_change=allowed(self.request.user, may_award), **kwargs)


class RemoveEntry(StaffMixin, ObjectFormPage):
    """Off the list, with a reason."""

    model = WaitEntry
    form_class = RemoveForm
    title = _("Take an entry off the wait-list")
    intro = _("Its people are told the reason. An offer that is out goes to others.")
    submit_label = _("Take it off the list")
    success_message = _("The entry is off the wait-list.")
    danger = True

    def cancel_url(self) -> str:
        """The list."""
        return reverse("allocations:staff-waitlist")

    def perform(self, form: forms.BaseForm) -> str:
        remove(actor=self.request.user, entry=self.object, **form.cleaned_data)
        return reverse("allocations:staff-waitlist")


class Prioritise(StaffMixin, ObjectFormPage):
    """The priority of an award on wait-lists."""

    model = Allocation
    form_class = PriorityForm
    title = _("Priority of an award on the wait-list")
    intro = _("Awards of a higher priority are served before all others of their pool, whoever came first.")
    success_message = _("The priority is set.")

    def get_initial(self) -> dict[str, Any]:
        return {"priority": self.object.priority}

    def perform(self, form: forms.BaseForm) -> Any:
        return prioritise(actor=self.request.user, allocation=self.object, **form.cleaned_data)


class HoldOffers(StaffMixin, ObjectFormPage):
    """How long offers of a pool's wait-list are held."""

    model = Pool
    form_class = HoldForm
    title = _("How long offers of the wait-list are held")
    intro = _("It holds from the next offer on. An offer is never held past the start of its window.")
    success_message = _("The time is set.")

    def cancel_url(self) -> str:
        """The pools."""
        return reverse("reports:pools")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{"object": None, **kwargs})

    def get_initial(self) -> dict[str, Any]:
        return {"minutes": self.object.offer_hold_seconds // 60}

    def perform(self, form: forms.BaseForm) -> str:
        asked = form.cleaned_data
        hold_offers(actor=self.request.user, pool=self.object, seconds=asked["minutes"] * 60, reason=asked["reason"])
        return reverse("reports:pools")
