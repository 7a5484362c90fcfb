"""Calls, asks and decisions."""

from proposals.models.calls import Call, CallQuerySet
from proposals.models.decisions import AwardLine, Decision
from proposals.models.proposals import Proposal, ProposalQuerySet, ProposalVersion, RequestLine

__all__ = [
    "AwardLine",
    "Call",
    "CallQuerySet",
    "Decision",
    "Proposal",
    "ProposalQuerySet",
    "ProposalVersion",
    "RequestLine",
]
