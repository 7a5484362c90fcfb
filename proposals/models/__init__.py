"""Calls, asks and decisions."""

from proposals.models.calls import (
    Call,
    CallDate,
    CallDocument,
    CallPool,
    CallQuerySet,
    CallStep,
    Criterion,
    Question,
)
from proposals.models.decisions import AwardLine, Decision
from proposals.models.proposals import Proposal, ProposalQuerySet, ProposalVersion, RequestLine

__all__ = [
    "AwardLine",
    "Call",
    "CallDate",
    "CallDocument",
    "CallPool",
    "CallQuerySet",
    "CallStep",
    "Criterion",
    "Decision",
    "Proposal",
    "ProposalQuerySet",
    "ProposalVersion",
    "Question",
    "RequestLine",
]
