"""The wait-list for partners: join, see one's place, answer an offer, leave."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from allocations.forms.verbs import ConfirmForm
from allocations.forms.waitlist import DeclineForm, JoinForm
from allocations.lifecycle import ON_THE_LIST
from allocations.models import Allocation, Lease, WaitEntry
from allocations.rules import may_book, may_leave
from allocations.selectors import waitlist as order
from allocations.selectors.availability import whole_minute
from allocations.selectors.balances import balance, hold_left
from allocations.selectors.bookable import stopped_of
from allocations.services.entries import MOST_MISSED
from allocations.services.offering import accept, decline
from allocations.services.waitlist import join, leave
from allocations.shapes import ANY, Shape
from cluster.selectors import profiles_in
from common.permissions import allowed
from common.web import ObjectServicePage, Page

PREFILLED = (
    "profile",
    "device_count",
    "smallest",
    "shape",
    "shape_nodes",
    "length",
    "unit",
    "earliest",
    "latest",
    "note",
)
LOCAL_FORMAT = "%Y-%m-%dT%H:%M"
A_DAY_MORE = timedelta(days=1)
OVER_SHOWN = 10
OBSTACLES = {
    "allocation_not_active": _("The allocation is not active now."),
    "agreement_not_active": _("The agreement is not in force now."),
    "rules": _("The rules for booking allow no window between these times as things stand."),
    "agreement_ceiling": _("Other reservations under your agreement take up the GPUs that it allows at once."),
    "own_reservations": _("Your own reservations take up the GPUs that the award allows at once."),
    "ceiling_gpu_hours_a_year": _("The hours that your agreement allows in this year are used up."),
    "pool_not_covered": _("Your agreement does not cover this pool."),
    "balance": _("The hours that are left do not suffice until running reservations give some back."),
}


def wait_url(
    allocation: Allocation,
    count: int,
    start: datetime,
    end: datetime,
    note: str = "",
    shape: Shape = ANY,
    profile: str = "",
) -> str:
    """The form for the wait-list, filled in with an ask that was refused, and a day more to meet it."""
    minutes = max(1, round((end - start).total_seconds() / 60))
    per = next(each for each in (10_080, 1440, 60, 1) if minutes % each == 0)
    query = {
        **({"profile": profile} if profile else {}),
        "device_count": count,
        "shape": shape.kind,
        "shape_nodes": shape.nodes if shape.kind == "nodes" else "",
        "length": minutes // per,
        "unit": per * 60,
        "earliest": timezone.localtime(whole_minute(start)).strftime(LOCAL_FORMAT),
        "latest": timezone.localtime(whole_minute(end) + A_DAY_MORE).strftime(LOCAL_FORMAT),
        "note": note,
    }
    return f"{reverse('allocations:wait', args=[allocation.public_id])}?{urlencode(query)}"


class WaitListPage(Page):
    """One's entries and places, why they stand there, and how long the queues are."""

    template_name = "allocations/waitlist.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        rows = WaitEntry.objects.visible_to(user).none() if user.is_agency else WaitEntry.objects.visible_to(user)
        rows = rows.select_related("allocation__project__organisation", "allocation__pool", "lease", "asked_by")
        mine = list(order.ranked(rows.filter(state__in=ON_THE_LIST)))
        places = order.places({entry.allocation.pool_id for entry in mine})
        return super().get_context_data(
            entries=[
                {
                    "entry": entry,
                    "place": places.get(entry.pk),
                    "obstacle": obstacle_text(entry.obstacle),
                    "may_leave": allowed(user, may_leave, entry),
                }
                for entry in mine
            ],
            over=rows.exclude(state__in=ON_THE_LIST).order_by("-over_at")[:OVER_SHOWN],
            queues=order.queues(user),
            protected_after=order.PROTECTED_AFTER,
            protected_days=order.PROTECTED_AFTER_WAITING.days,
            answer_time=order.ANSWER_TIME,
            least_answer_time=order.LEAST_ANSWER_TIME,
            most_missed=MOST_MISSED,
            now=timezone.now(),
            **kwargs,
        )


def obstacle_text(code: str) -> str:
    """What stands in an entry's own way, in words."""
    if not code:
        return ""
    return str(OBSTACLES.get(code) or gettext("A rule of your award or of the pool stands in the way now (%s).") % code)


class JoinPage(ObjectServicePage):
    """The ask, checked before it joins."""

    model = Allocation
    object_name = "allocation"
    template_name = "allocations/wait.html"
    form_class = JoinForm
    success_message = _("You are on the wait-list. You hear from us as soon as there is something to offer.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("project__organisation", "project__agreement", "pool__gpu_class")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "profiles": profiles_in(self.object.pool)}

    def get_initial(self) -> dict[str, Any]:
        typed = {key: self.request.GET[key] for key in PREFILLED if self.request.GET.get(key)}
        return {"device_count": 1, **typed}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        places = order.places([self.object.pool_id])
        return super().get_context_data(
            balance=balance(self.object),
            waiting=len(places),
            stopped=stopped_of([self.object]),
            may_book=allowed(self.request.user, may_book, self.object),
            **kwargs,
        )

    def perform(self, form: forms.BaseForm) -> Any:
        asked = form.cleaned_data
        return join(actor=self.request.user, allocation=self.object, wish=asked["wish"], note=asked["note"])


class LeavePage(ObjectServicePage):
    """Off the list."""

    model = WaitEntry
    object_name = "entry"
    template_name = "allocations/waitlist_leave.html"
    form_class = ConfirmForm
    success_message = _("The entry has left the wait-list.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool", "lease")

    def perform(self, form: forms.BaseForm) -> Any:
        return leave(actor=self.request.user, entry=self.object)


class _OfferPage(ObjectServicePage):
    model = Lease
    object_name = "lease"
    form_class: Any = ConfirmForm

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        held = hold_left(self.object, self.object.starts_at)
        return super().get_context_data(hold_seconds=held, most_missed=MOST_MISSED, **kwargs)


class AcceptPage(_OfferPage):
    """Take the offer as it is."""

    template_name = "allocations/lease_accept.html"
    success_message = _("The GPUs are reserved for you.")

    def perform(self, form: forms.BaseForm) -> Any:
        return accept(actor=self.request.user, lease=self.object)


class DeclinePage(_OfferPage):
    """Let the offer go to others."""

    template_name = "allocations/lease_decline.html"
    form_class = DeclineForm
    success_message = _("The offer is declined; it goes to others.")

    def perform(self, form: forms.BaseForm) -> Any:
        decline(actor=self.request.user, lease=self.object, stay=form.cleaned_data["stay"])
        return reverse("allocations:waitlist")
