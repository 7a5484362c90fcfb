"""API routes of proposals; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from proposals.api import (
    AttachmentViewSet,
    CallViewSet,
    LetterTextViewSet,
    LetterViewSet,
    PreparedDecisionViewSet,
    ProposalViewSet,
)

router = SimpleRouter()
router.register("calls", CallViewSet, basename="call")
router.register("proposals", ProposalViewSet, basename="proposal")
router.register("prepared-decisions", PreparedDecisionViewSet, basename="prepared")
router.register("letters", LetterViewSet, basename="letter")
router.register("letter-texts", LetterTextViewSet, basename="letter-text")
router.register("attachments", AttachmentViewSet, basename="attachment")
