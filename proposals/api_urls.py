"""API routes of proposals; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from proposals.api import (
    AttachmentViewSet,
    CallViewSet,
    ChangeRequestViewSet,
    LetterTextViewSet,
    LetterViewSet,
    NamedFileViewSet,
    PreparedDecisionViewSet,
    ProposalImport,
    ProposalViewSet,
)
from proposals.api.call_reviews import CallReviewViewSet
from proposals.api.reviews import ReviewerViewSet, ReviewViewSet
from proposals.api.steps import StepViewSet

router = SimpleRouter()
router.register("calls", CallViewSet, basename="call")
router.register("proposals", ProposalViewSet, basename="proposal")
router.register("prepared-decisions", PreparedDecisionViewSet, basename="prepared")
router.register("letters", LetterViewSet, basename="letter")
router.register("change-requests", ChangeRequestViewSet, basename="change-request")
router.register("letter-texts", LetterTextViewSet, basename="letter-text")
router.register("attachments", AttachmentViewSet, basename="attachment")
router.register("named-files", NamedFileViewSet, basename="named-file")
router.register("steps", StepViewSet, basename="step")
router.register("reviews", ReviewViewSet, basename="review")
router.register("reviewers", ReviewerViewSet, basename="reviewer")
router.register("call-reviews", CallReviewViewSet, basename="call-review")
urlpatterns = [path("proposal-imports/", ProposalImport.as_view(), name="proposal-import")]
