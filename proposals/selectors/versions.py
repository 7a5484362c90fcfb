"""Which submissions somebody wants to compare."""

from collections.abc import Sequence

from proposals.models import ProposalVersion


def asked_for(
    versions: Sequence[ProposalVersion], older: str, newer: str
) -> tuple[ProposalVersion | None, ProposalVersion | None]:
    """The two with these numbers, the last two where nothing (or nonsense) was asked. `versions`: newest first."""
    known = {str(row.version): row for row in versions}
    later = known.get(newer) or (versions[0] if versions else None)
    before = [row for row in versions if later is not None and row.version < later.version]
    return known.get(older) or (before[0] if before else None), later
