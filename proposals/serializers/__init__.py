"""Shapes of the API of calls, proposals and decisions."""

from proposals.serializers.changes import AskAwardChangeSerializer, AwardChangeSerializer
from proposals.serializers.contents import (
    AnswerSerializer,
    AttachmentSerializer,
    ChangesSerializer,
    CopiedSerializer,
    CopySerializer,
    NewAttachmentSerializer,
    SubmissionSerializer,
    TeamRowSerializer,
    changes_json,
)
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
from proposals.serializers.imports import ImportReportSerializer, ImportSerializer
from proposals.serializers.proposals import (
    AskLineSerializer,
    ContentSerializer,
    NewProposalSerializer,
    ProposalSerializer,
    RequestLineSerializer,
    content_from,
)

__all__ = [
    "AnswerSerializer",
    "AskAwardChangeSerializer",
    "AskLineSerializer",
    "AttachmentSerializer",
    "AwardChangeSerializer",
    "AwardLineSerializer",
    "AwardSerializer",
    "ChangesSerializer",
    "ContentSerializer",
    "CopiedSerializer",
    "CopySerializer",
    "DecisionSerializer",
    "GivenLineSerializer",
    "ImportReportSerializer",
    "ImportSerializer",
    "LetterSerializer",
    "LetterTextSerializer",
    "NewAttachmentSerializer",
    "NewProposalSerializer",
    "OutcomeSerializer",
    "PoolSumSerializer",
    "PrepareDeclinesSerializer",
    "PrepareSerializer",
    "PreparedDecisionSerializer",
    "ProposalSerializer",
    "ReleaseSerializer",
    "RequestLineSerializer",
    "SubmissionSerializer",
    "TeamRowSerializer",
    "VersionSerializer",
    "changes_json",
    "content_from",
]
