"""Find me a slot: an ask, and the best three windows with what each of them costs."""

from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from allocations.charging import WHOLE
from allocations.forms.finding import FindForm
from allocations.models import Lease
from allocations.rules import may_book
from allocations.selectors.bookable import barred_of, bookable_allocations, stopped_of
from allocations.selectors.offers import (
    MOST,
    MOST_ALLOCATIONS,
    Slot,
    Wish,
    find_slots,
)
from allocations.selectors.yearly import left_of_years, years_bear
from allocations.shapes import ANY
from allocations.views.booking import offer_of
from allocations.views.waitlist import PREFILLED as WAIT_FIELDS
from cluster.selectors import profiles_in
from common.moments import agency_day
from common.permissions import allowed
from common.web import Page
from partners.selectors import none_in_force_of

_CLASS = "class:"


class FindPage(Page):
    """Asked with GET, so that an answer can be kept as a link; nothing is held by looking."""

    template_name = "allocations/find.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        mine = [row for row in bookable_allocations(self.request.user) if allowed(self.request.user, may_book, row)]
        asked = "device_count" in self.request.GET
        where = _places(mine)
        profiles = profiles_in(*{row.pool for row in mine})
        initial = {"where": self.request.GET.get("where"), "device_count": 1}
        said: Any = {"data": self.request.GET} if asked else {"initial": initial}
        form = FindForm(where=where, profiles=profiles, **said)
        answers, waits, barred, years = None, [], [], []
        if asked and form.is_valid():
            chosen = [row for row in mine if form.cleaned_data["where"] in (row.public_id, _class_of(row))]
            found = find_slots(chosen[:MOST_ALLOCATIONS], form.cleaned_data["wish"], timezone.now())
            answers = [_answer(slot) for slot in found]
            if not answers:
                wish = form.cleaned_data["wish"]
                barred = barred_of(chosen[:MOST_ALLOCATIONS], agency_day(wish.earliest))
                able = [row for row in chosen if row not in [one.allocation for one in barred]]
                waits = [(row, self._wait_url(row)) for row in _having(able, form) if _bears(row, wish)][:MOST]
                years = _left(able[:MOST_ALLOCATIONS], wish)
        return super().get_context_data(
            form=form,
            answers=answers,
            waits=waits,
            barred=barred,
            years=years,
            nothing_to_book=not mine,
            stopped=stopped_of(mine) if mine else none_in_force_of(self.request.user),
            several=len(mine) > 1,
            **kwargs,
        )

    def _wait_url(self, allocation: Any) -> str:
        """The form for the wait-list with what was asked here."""
        asked = {key: self.request.GET[key] for key in WAIT_FIELDS if self.request.GET.get(key)}
        return f"{reverse('allocations:wait', args=[allocation.public_id])}?{urlencode(asked)}"


def _left(allocations: list[Any], wish: Wish) -> list[tuple[Any, int, int]]:
    """(agreement, year, device-seconds left of it) where an agreement has a ceiling of a year."""
    agreements = {row.project.agreement_id: row.project.agreement for row in allocations}
    return [
        (agreement, year, seconds)
        for agreement in agreements.values()
        for year, seconds in (left_of_years(agreement, wish.earliest, wish.latest) or {}).items()
    ]


def _bears(allocation: Any, wish: Wish) -> bool:
    """Whether waiting may help: the years of the agreement bear all of it."""
    share = Fraction(*profiles_in(allocation.pool).get(wish.profile, (1, 1))) if wish.profile else WHOLE
    return years_bear(allocation, wish.count, wish.duration, wish.earliest, wish.latest, share)


def _having(allocations: list[Any], form: FindForm) -> list[Any]:
    """Those whose pool has what is asked for: of some, an instance of the profile could never be had."""
    profile = form.cleaned_data["profile"]
    return [row for row in allocations[:MOST_ALLOCATIONS] if not profile or profile in profiles_in(row.pool)]


def _places(allocations: list[Any]) -> list[tuple[str, str]]:
    """Each allocation, and each GPU class of which there are several."""
    single = [(row.public_id, f"{row.project.title} · {row.pool.name}") for row in allocations]
    classes: dict[str, list[Any]] = {}
    for row in allocations:
        classes.setdefault(_class_of(row), []).append(row)
    several = [
        (code, _("any award of %(gpus)s") % {"gpus": rows[0].pool.gpu_class.name})
        for code, rows in classes.items()
        if len(rows) > 1
    ]
    return [*several, *single]


def _class_of(allocation: Any) -> str:
    return f"{_CLASS}{allocation.pool.gpu_class.code}"


def _answer(slot: Slot) -> dict[str, Any]:
    offer = offer_of(slot.allocation, slot.count, slot.start, slot.end, shape=slot.shape, profile=slot.profile)
    shape = Lease.Shape(slot.shape.kind).label if slot.shape != ANY else ""
    return {"slot": slot, "url": offer["url"], "shape": shape}
