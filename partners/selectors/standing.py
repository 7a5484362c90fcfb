"""What the policy says of an organisation as it stands now. Reads only."""

from typing import Any

from django.utils import timezone

from common.moments import agency_day
from partners.figures import committed
from partners.models import Agreement, Organisation, organisation_ids_of
from partners.policy import Answer, Wish, may, none_in_force, sign_in


def answer_for(organisation: Organisation, wish: Wish) -> Answer:
    """Whether an organisation may do this: one query, and those of the figures for each agreement that is in force."""
    rows = list(organisation.agreements.exclude(state="draft"))
    used = {row.pk: committed(row) for row in rows if row.state == "active"}
    return may(rows, wish, used)


def none_in_force_of(user: Any) -> list[Answer]:
    """Of each of a person's own organisations that has no agreement in force, why not: one query."""
    rows = Agreement.objects.filter(organisation__in=organisation_ids_of(user)).select_related("organisation")
    return none_in_force(rows)


def sign_in_notes(user: Any) -> list[str]:
    """What a person is told when they sign in: of each of their organisations that may only read today. Two queries."""
    if user.is_agency:
        return []
    organisations = {
        row.pk: row for row in Organisation.objects.filter(memberships__user=user, kind=Organisation.Kind.PARTNER)
    }
    held: dict[int, list[Agreement]] = {pk: [] for pk in organisations}
    for row in Agreement.objects.filter(organisation__in=organisations) if organisations else ():
        held[row.organisation_id].append(row)
    today = agency_day(timezone.now())
    notes = []
    for pk, organisation in organisations.items():
        answer = sign_in(held[pk], today)
        if answer.code == "read_only":
            notes.append(f"{organisation.name}: {answer.reason} {answer.allowed_instead}")
    return notes
