"""Shapes of the API of calls, proposals and decisions."""

from proposals.serializers.calls import CallSerializer, EditCallSerializer
from proposals.serializers.deciding import (
    LetterSerializer,
    LetterTextSerializer,
    OutcomeSerializer,
    PoolSumSerializer,
    PreparedDecisionSerializer,
    PrepareDeclinesSerializer,
    PrepareSerializer,
    ReleaseSerializer,
    VersionSerializer,
)
from proposals.serializers.decisions import (
    AwardLineSerializer,
    AwardSerializer,
    DecisionSerializer,
    GivenLineSerializer,
)
from proposals.serializers.proposals import (
    AskLineSerializer,
    ContentSerializer,
    NewProposalSerializer,
    ProposalSerializer,
    RequestLineSerializer,
    content_from,
)

__all__ = [
    "AskLineSerializer",
    "AwardLineSerializer",
    "AwardSerializer",
    "CallSerializer",
    "ContentSerializer",
    "DecisionSerializer",
    "EditCallSerializer",
    "GivenLineSerializer",
    "LetterSerializer",
    "LetterTextSerializer",
    "NewProposalSerializer",
    "OutcomeSerializer",
    "PoolSumSerializer",
    "PrepareDeclinesSerializer",
    "PrepareSerializer",
    "PreparedDecisionSerializer",
    "ProposalSerializer",
    "ReleaseSerializer",
    "RequestLineSerializer",
    "VersionSerializer",
    "content_from",
]
