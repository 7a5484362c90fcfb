"""API routes of partners; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from partners.api import AgreementViewSet, AmendmentViewSet, ObligationViewSet, OrganisationViewSet

router = SimpleRouter()
router.register("organisations", OrganisationViewSet, basename="organisation")
router.register("agreements", AgreementViewSet, basename="agreement")
router.register("amendments", AmendmentViewSet, basename="amendment")
router.register("obligations", ObligationViewSet, basename="obligation")
