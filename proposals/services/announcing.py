"""A call that is published is told to those who may propose: once, by the clock, in each reader's language."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from notifications.services import notify
from partners.rules import MANAGING
from proposals.models import Call
from proposals.selectors import open_calls
from proposals.selectors.eligibility import may_propose

BATCH = 500
"""People in one statement: a notice and a mail each."""


def announce(*, now: datetime) -> int:
    """Tell of every call that takes proposals and was not told yet; how many people were told."""
    due = open_calls(Call.objects.filter(told_at=None, cancelled_at=None)).order_by("published_at", "pk")
    return sum(_announce(pk, now) for pk in list(due.values_list("pk", flat=True)))


@transaction.atomic
def _announce(pk: int, now: datetime) -> int:
    """The mark stands in the transaction of the notices, under the call's lock: of two clocks one tells."""
    rows = open_calls(Call.objects.filter(pk=pk, told_at=None, cancelled_at=None))
    call = rows.select_for_update(skip_locked=True, no_key=True).first()
    if call is None:
        return 0
    call.told_at = now
    call.save(update_fields=["told_at"])
    people = list(_people(may_propose(call)))
    context: dict[str, Any] = {"call": call.lazy_title, "closes_at": call.closes_at}
    for start in range(0, len(people), BATCH):
        batch = people[start : start + BATCH]
        notify(recipients=batch, event="call_published", context=context, url=call.get_absolute_url())
    return len(people)


def _people(organisations: Iterable[int]) -> Iterable[User]:
    """Owners and managers of these organisations, each of them once."""
    rows = User.objects.filter(
        is_active=True, memberships__organisation__in=list(organisations), memberships__role__in=MANAGING
    )
    return rows.distinct().order_by("pk")
