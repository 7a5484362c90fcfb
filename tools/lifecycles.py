"""Writes docs/lifecycles.md out of the tables: `python -m tools.lifecycles`."""

from pathlib import Path

from allocations.lifecycle import ADJUSTMENT, ALLOCATION, LEASE, RESHAPE, WAIT
from cluster.lifecycle import COMMAND, DEVICE, NODE
from common.lifecycle import Lifecycle
from partners.lifecycle import AGREEMENT, AMENDMENT
from projects.lifecycle import PROGRESS_REPORT
from proposals.lifecycle import ASSIGNMENT, CHANGE, PREPARED, PROPOSAL, REVIEW, STEP
from usage.lifecycle import IDLE_CASE, IDLE_RULE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "lifecycles.md"


def lifecycles() -> tuple[Lifecycle, ...]:
    """Every table of the house."""
    return (
        AGREEMENT,
        AMENDMENT,
        PROPOSAL,
        STEP,
        ASSIGNMENT,
        REVIEW,
        PROGRESS_REPORT,
        PREPARED,
        CHANGE,
        ALLOCATION,
        LEASE,
        RESHAPE,
        WAIT,
        ADJUSTMENT,
        IDLE_RULE,
        IDLE_CASE,
        DEVICE,
        NODE,
        COMMAND,
    )


def page() -> str:
    """The page as text."""
    parts = ["# Lifecycles\n\nMade from the tables by `python -m tools.lifecycles`; a test keeps it current.\n"]
    for lifecycle in lifecycles():
        parts.append(f"## {lifecycle.noun.capitalize()}\n\n```mermaid\n{lifecycle.mermaid()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
