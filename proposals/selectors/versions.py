"""Which submissions somebody wants to compare, and how they are read."""

from collections.abc import Sequence
from typing import Any

from cluster.selectors import gpu_class_choices
from proposals.models import ProposalVersion


def named(*contents: dict[str, Any]) -> list[dict[str, Any]]:
    """Contents as people read them: GPU classes of the lines by name, not by code. One query where there are lines."""
    if not any(content.get("lines") for content in contents):
        return list(contents)
    names = dict(gpu_class_choices())
    return [
        content
        if "lines" not in content
        else content | {"lines": [row | {"gpu_class": _name(names, row)} for row in content["lines"]]}
        for content in contents
    ]


def _name(names: dict[str, str], row: dict[str, Any]) -> str:
    code = str(row.get("gpu_class", ""))
    return names.get(code, code)


def asked_for(
    versions: Sequence[ProposalVersion], older: str, newer: str
) -> tuple[ProposalVersion | None, ProposalVersion | None]:
    """The two with these numbers, the last two where nothing (or nonsense) was asked. `versions`: newest first."""
    known = {str(row.version): row for row in versions}
    later = known.get(newer) or (versions[0] if versions else None)
    before = [row for row in versions if later is not None and row.version < later.version]
    return known.get(older) or (before[0] if before else None), later
