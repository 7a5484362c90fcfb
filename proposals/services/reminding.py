"""Deadlines: one reminder before, one after, each exactly once."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse

from accounts.models import User
from notifications.services import notify
from partners.selectors import officers, operators
from proposals.models import Assignment, CallStep, ProposalStep
from proposals.models.steps import IN_REVIEW

BATCH = 200


def remind(*, now: datetime) -> int:
    """Tell whoever has a step or a review to do that its deadline comes near, or is over; how many rows were told of.

    The mark stands in the transaction of the notice, under the row's lock: two that work at once pass each other by.
    """
    return sum(
        _tell(rows, mark, now)
        for mark, near in (("chased_at", False), ("reminded_at", True))
        for rows in (_steps(now, mark, near=near), _assignments(now, mark, near=near))
    )


def _due(now: datetime, mark: str, *, near: bool) -> Q:
    if not near:
        return Q(due_at__lte=now, **{mark: None})
    last = now + timedelta(days=settings.REVIEW_REMINDER_DAYS)
    return Q(due_at__gt=now, due_at__lte=last, **{mark: None})


def _steps(now: datetime, mark: str, *, near: bool) -> QuerySet[ProposalStep]:
    return (
        ProposalStep.objects.at_work()
        .filter(_due(now, mark, near=near))
        .select_for_update(of=("self",), no_key=True, skip_locked=True)
        .select_related("owner", "proposal")
        .order_by("pk")
    )


def _assignments(now: datetime, mark: str, *, near: bool) -> QuerySet[Assignment]:
    return (
        Assignment.objects.filter(
            _due(now, mark, near=near),
            state__in=("sent", "open"),
            proposal__state__in=IN_REVIEW,
            version=F("proposal__version"),
        )
        .select_for_update(of=("self",), no_key=True, skip_locked=True)
        .select_related("reviewer", "proposal")
        .order_by("pk")
    )


def _tell(rows: QuerySet[Any], mark: str, now: datetime) -> int:
    """One notice a person for all of theirs, so that 500 deadlines of one day are not 500 mails."""
    with transaction.atomic():
        found = list(rows[:BATCH])
        by_people: dict[tuple[int, ...], list[Any]] = {}
        people: dict[int, User] = {}
        for row in found:
            asked = list(_people(row))
            people |= {person.pk: person for person in asked}
            by_people.setdefault(tuple(sorted(person.pk for person in asked)), []).append(row)
        for keys, theirs in by_people.items():
            of_reviews = isinstance(theirs[0], Assignment)
            event = ("review" if of_reviews else "step") + ("_overdue" if mark == "chased_at" else "_due")
            numbers = ", ".join(row.proposal.number or "" for row in theirs[:20])
            context = {"count": len(theirs), "numbers": numbers, "due": min(row.due_at for row in theirs)}
            notify(recipients=[people[key] for key in keys], event=event, context=context, url=_address(theirs))
        for row in found:
            setattr(row, mark, now)
        rows.model._default_manager.bulk_update(found, [mark])
    return len(found)


def _people(row: Any) -> Iterable[User]:
    if isinstance(row, Assignment):
        return [row.reviewer]
    if row.owner is not None:
        return [row.owner]
    if row.kind == CallStep.Kind.TECHNICAL:
        return operators()
    return officers()


def _address(rows: list[Any]) -> str:
    if len(rows) == 1:
        return str(rows[0].get_absolute_url())
    return reverse("proposals:reviews" if isinstance(rows[0], Assignment) else "proposals:steps")
