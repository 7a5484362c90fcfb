"""Booking a window: see what is free, ask, and be offered the next window where the answer is no."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from allocations.charging import WHOLE
from allocations.forms.booking import NO_LENGTH, BookForm
from allocations.models import Allocation, Lease
from allocations.rule_words import closures_shown, sentences
from allocations.rules import may_book
from allocations.selectors.availability import boards_in_use, free_devices, own_nodes
from allocations.selectors.balances import balance, hold_of
from allocations.selectors.bookable import stopped_of
from allocations.selectors.capacities import capacity
from allocations.selectors.free_times import next_free_window
from allocations.selectors.offers import shares_of
from allocations.selectors.rulebooks import rulebook_of, with_rules
from allocations.selectors.weights import weights_of
from allocations.selectors.yearly import permitted_starts
from allocations.services import booking, looking
from allocations.services.rule_checks import Wanted
from allocations.shapes import ANY, Shape, choose, largest
from allocations.views.waitlist import wait_url
from cluster.selectors import profiles_in
from common.errors import DomainError
from common.permissions import allowed
from common.web import ObjectMixin, ObjectServicePage

PREFILLED = ("profile", "device_count", "smallest", "shape", "shape_nodes", "starts_at", "length", "ends_at", "note")
DEFAULT_LENGTH = "14400"
IN_SHORT = ("longest_seconds", "ahead_seconds", "future_leases", "concurrent_gpus", "release_notice_seconds")
"""The rules that stand beside the form."""
LOCAL_FORMAT = "%Y-%m-%dT%H:%M"


def offer_of(
    allocation: Allocation,
    count: int,
    start: datetime,
    end: datetime,
    note: str = "",
    shape: Shape = ANY,
    profile: str = "",
) -> dict[str, Any]:
    """A free window with the address of the form that asks for it. A browser's field holds whole minutes."""
    length = end - start
    start = _next_minute(start)
    query = {
        "device_count": count,
        "starts_at": timezone.localtime(start).strftime(LOCAL_FORMAT),
        "length": NO_LENGTH,
        "ends_at": timezone.localtime(start + length).strftime(LOCAL_FORMAT),
        "note": note,
        "shape": shape.kind,
        "shape_nodes": shape.nodes if shape.kind == "nodes" else "",
        **({"profile": profile} if profile else {}),
    }
    url = reverse("allocations:book", args=[allocation.public_id])
    return {"start": start, "end": start + length, "url": f"{url}?{urlencode(query)}"}


def check_of(allocation: Allocation, asked: dict[str, Any]) -> dict[str, Any]:
    """What is free in the asked window, what it would hold, and where the next free window lies if it is not."""
    count, start, end = asked["device_count"], asked["starts_at"], asked["ends_at"]
    tenants, shape, profile = [allocation.project.organisation_id], asked["shape"], asked["profile"]
    mine: Any = {"tenants": tenants, "profile": profile, "envelope": None if profile else allocation.envelope_key}
    free = list(free_devices(allocation.pool, start, end, **mine))
    own = own_nodes(allocation.pool, tenants[0], start, end)
    begun = boards_in_use(free, start, end)
    chosen = choose(free, count, shape, own, begun) if shape.fits(count) else None
    share = Fraction(*profiles_in(allocation.pool).get(profile, (1, 1))) if profile else WHOLE
    found: dict[str, Any] = {
        "count": count,
        "profile": profile,
        "start": start,
        "end": end,
        "free": len(free),
        "shape": Lease.Shape(shape.kind).label if shape != ANY else "",
        "shares": shares_of(chosen, free, profile) if chosen else (),
        "hold_seconds": hold_of(count, start, end, weights_of(allocation), share),
        "left_seconds": balance(allocation).left,
    }
    now, book = timezone.now(), rulebook_of(allocation)
    fewest, most = asked.get("smallest") or count, min(count - 1, len(free))
    fewer = None if chosen else largest(fewest, most, shape, lambda count: choose(free, count, shape, own, begun))
    found["fewer"] = len(fewer or ())
    found["refused"] = looking.refusal(book, Wanted(allocation, count, shape, start, end, now, profile), share)
    if not chosen:
        length, pool = end - start, allocation.pool
        passes = permitted_starts(allocation, book, count, length, start, now, share)
        window = next_free_window(pool, count, length, start, shape=shape, passes=passes, **mine)
        found["offer"] = offer_of(allocation, count, *window, asked.get("note", ""), shape, profile) if window else None
        found["wait_url"] = wait_url(allocation, count, start, end, asked.get("note", ""), shape, profile)
    return found


class BookPage(ObjectServicePage):
    """The form. Checking and booking are two buttons of it, so that both work without a script."""

    model = Allocation
    object_name = "allocation"
    template_name = "allocations/book.html"
    form_class = BookForm
    success_message = _("The GPUs are reserved for you.")
    offer: dict[str, Any] | None = None
    check: dict[str, Any] | None = None
    wait_url = ""

    def get_queryset(self) -> Any:
        rows = with_rules(super().get_queryset())
        return rows.select_related("project__organisation", "project__agreement", "pool__gpu_class", "envelope")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "profiles": profiles_in(self.object.pool)}

    def get_initial(self) -> dict[str, Any]:
        typed = {key: self.request.GET[key] for key in PREFILLED if key in self.request.GET}
        return {"device_count": 1, "length": DEFAULT_LENGTH, **typed}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "device_count" in request.GET:
            form = BookForm(request.GET, profiles=profiles_in(self.object.pool))
            if form.is_valid():
                self.check = check_of(self.object, form.cleaned_data)
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: BaseForm) -> HttpResponse:
        if "check" in self.request.POST:
            self.check = check_of(self.object, form.cleaned_data)
            return self.render_to_response(self.get_context_data(form=form))
        return super().form_valid(form)

    def perform(self, form: BaseForm) -> Any:
        asked = form.cleaned_data
        try:
            return booking.book(
                actor=self.request.user,
                allocation=self.object,
                device_count=asked["device_count"],
                starts_at=asked["starts_at"],
                ends_at=asked["ends_at"],
                note=asked["note"],
                shape=asked["shape"],
                profile=asked["profile"],
                smallest=asked["smallest"],
            )
        except DomainError as error:
            self.offer = _offer_in(self.object, error, asked)
            if error.code == "no_free_devices":
                window = (asked["starts_at"], asked["ends_at"])
                how = (asked["note"], asked["shape"], asked["profile"])
                self.wait_url = wait_url(self.object, asked["device_count"], *window, *how)
            raise

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now, tenants, book = timezone.now(), [self.object.project.organisation_id], rulebook_of(self.object)
        return super().get_context_data(
            balance=balance(self.object),
            free_now=capacity(
                self.object.pool, now, now + timedelta(hours=1), tenants=tenants, envelope=self.object.envelope_key
            ),
            may_book=allowed(self.request.user, may_book, self.object),
            stopped=stopped_of([self.object]),
            check=self.check,
            offer=self.offer,
            wait_url=self.wait_url,
            rules=[row for row in sentences(book, self.object) if row.rule in IN_SHORT],
            closures=closures_shown(book),
            **kwargs,
        )


class BookCheck(ObjectMixin, TemplateView):
    """The fragment that follows what is typed."""

    model = Allocation
    object_name = "allocation"
    template_name = "allocations/_book_check.html"

    def get_queryset(self) -> Any:
        rows = with_rules(super().get_queryset())
        return rows.select_related("pool__gpu_class", "project__agreement", "envelope")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = BookForm(self.request.GET, profiles=profiles_in(self.object.pool))
        check = check_of(self.object, form.cleaned_data) if form.is_valid() else None
        return super().get_context_data(check=check, form=form, **kwargs)


def _offer_in(allocation: Allocation, error: DomainError, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The next free window that a refusal names, as a link."""
    start = parse_datetime(error.facts.get("next_start") or "")
    end = parse_datetime(error.facts.get("next_end") or "")
    return (
        offer_of(allocation, asked["device_count"], start, end, asked["note"], asked["shape"], asked["profile"])
        if start and end
        else None
    )


def _next_minute(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)
