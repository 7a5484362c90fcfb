"""Partners hear of what was brought in for them: one notice for each organisation, whatever it had in the file."""

from collections import defaultdict
from collections.abc import Sequence

from django.urls import reverse
from django.utils.functional import lazy

from notifications.services import Message, notify_each
from partners.models import Membership
from partners.rules import MANAGING
from proposals.models import Call, Proposal, Question
from proposals.services.imports.questions import needed_files

NAMED = 10
"""Of the numbers of an organisation's proposals, in a notice."""


def tell_owners(call: Call, proposals: Sequence[Proposal], asked: Sequence[Question]) -> None:
    """Tell owners and managers of every organisation which proposals were entered for it, and which
    files they still lack. A query, and one statement
    for each five hundred people.
    """
    by_organisation: dict[int, list[Proposal]] = defaultdict(list)
    for row in proposals:
        by_organisation[row.organisation_id].append(row)
    lacking = lazy(lambda: ", ".join(needed_files(asked)), str)() if needed_files(asked) else ""
    people = Membership.objects.filter(organisation__in=by_organisation, role__in=MANAGING, user__is_active=True)
    messages = []
    for membership in people.select_related("user").order_by("pk"):
        rows = by_organisation[membership.organisation_id]
        numbers = [str(row.number) for row in rows]
        context = {
            "call": call.lazy_title,
            "organisation": rows[0].organisation.lazy_name,
            "count": len(rows),
            "lacking": lacking,
            "numbers": ", ".join(numbers[:NAMED]) + (" …" if len(numbers) > NAMED else ""),
        }
        messages.append(Message(membership.user, context, reverse("proposals:proposals")))
    notify_each(event="proposals_imported", messages=messages)
