"""Calls, asks and decisions."""

from proposals.models.answers import Answer, Value
from proposals.models.attachments import Attachment, AttachmentQuerySet, SearchResult
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
from proposals.models.changes import ChangeRequest
from proposals.models.decisions import AwardLine, Decision
from proposals.models.fast_lane import FastLane
from proposals.models.letters import DecisionLetter, LetterKind, LetterTemplate
from proposals.models.preparing import Appeal, PreparedDecision, PreparedLine
from proposals.models.proposals import Proposal, ProposalQuerySet, ProposalVersion, RequestLine
from proposals.models.reviewers import FormerEmployer, ReviewerInvitation, ReviewerProfile
from proposals.models.reviewing import Assignment, Conflict, Review, Score
from proposals.models.steps import ProposalStep
from proposals.models.team import ProposalMember

__all__ = [
    "Answer",
    "Appeal",
    "Assignment",
    "Attachment",
    "AttachmentQuerySet",
    "AwardLine",
    "Call",
    "CallDate",
    "CallDocument",
    "CallPool",
    "CallQuerySet",
    "CallStep",
    "ChangeRequest",
    "Conflict",
    "Criterion",
    "Decision",
    "DecisionLetter",
    "FastLane",
    "FormerEmployer",
    "LetterKind",
    "LetterTemplate",
    "PreparedDecision",
    "PreparedLine",
    "Proposal",
    "ProposalMember",
    "ProposalQuerySet",
    "ProposalStep",
    "ProposalVersion",
    "Question",
    "RequestLine",
    "Review",
    "ReviewerInvitation",
    "ReviewerProfile",
    "Score",
    "SearchResult",
    "Value",
]
