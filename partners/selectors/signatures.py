"""Who has signed what. Reads only."""

from dataclasses import dataclass

from django.db.models import QuerySet

from partners.models import Agreement, AgreementSignature, Amendment


def live_signatures(paper: Agreement | Amendment) -> QuerySet[AgreementSignature]:
    """The signatures that count under an agreement's own document, or under an amendment's."""
    rows = AgreementSignature.objects.filter(voided_at=None)
    if isinstance(paper, Amendment):
        return rows.filter(amendment=paper)
    return rows.filter(agreement=paper, amendment=None)


def signatures_of(agreement: Agreement) -> QuerySet[AgreementSignature]:
    """All that count, of the agreement and of its amendments, in the order of time."""
    return agreement.signatures.filter(voided_at=None).select_related("amendment", "recorded_by")


@dataclass(frozen=True)
class SideRow:
    """One side of what is to be signed; `signature` None: not yet."""

    side: str
    label: str
    signature: AgreementSignature | None


def side_rows(paper: Agreement | Amendment) -> list[SideRow]:
    """Both sides, signed or not: one query."""
    found = {row.side: row for row in live_signatures(paper).select_related("recorded_by")}
    return [SideRow(side, str(label), found.get(side)) for side, label in AgreementSignature.Side.choices]
