"""What is known about an organisation beside its people and agreements. Reads only."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import pgettext

from partners.models import Organisation, Relation, Shareholder


@dataclass(frozen=True)
class RelationRow:
    """A relation, read from one of its ends."""

    relation: Relation
    words: str
    other: Organisation


def shareholders_of(organisation: Organisation) -> QuerySet[Shareholder]:
    """The largest first, with the organisations that they are."""
    return organisation.shareholders.select_related("holder")


def relations_of(organisation: Organisation) -> list[RelationRow]:
    """From this organisation's end: one query."""
    rows = Relation.objects.filter(Q(organisation=organisation) | Q(other=organisation))
    return [_row(row, organisation) for row in rows.select_related("organisation", "other").order_by("pk")]


def _row(row: Relation, organisation: Organisation) -> RelationRow:
    if row.organisation_id == organisation.pk:
        return RelationRow(row, row.get_kind_display(), row.other)
    if row.kind == Relation.Kind.PARENT:
        return RelationRow(row, pgettext("relation of organisations", "subsidiary of"), row.organisation)
    return RelationRow(row, row.get_kind_display(), row.organisation)
