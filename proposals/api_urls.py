"""API routes of proposals; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from proposals.api import CallViewSet, ProposalViewSet

router = SimpleRouter()
router.register("calls", CallViewSet, basename="call")
router.register("proposals", ProposalViewSet, basename="proposal")
