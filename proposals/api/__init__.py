"""The API skin of calls and proposals: the same verbs as the pages."""

from proposals.api.calls import CallViewSet
from proposals.api.changes import ChangeRequestViewSet
from proposals.api.contents import AttachmentViewSet, NamedFileViewSet
from proposals.api.deciding import LetterTextViewSet, LetterViewSet, PreparedDecisionViewSet
from proposals.api.imports import ProposalImport
from proposals.api.proposals import ProposalViewSet

__all__ = [
    "AttachmentViewSet",
    "CallViewSet",
    "ChangeRequestViewSet",
    "LetterTextViewSet",
    "LetterViewSet",
    "NamedFileViewSet",
    "PreparedDecisionViewSet",
    "ProposalImport",
    "ProposalViewSet",
]
