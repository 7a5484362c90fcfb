"""API routes of partners; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from partners.api import (
    AgreementViewSet,
    AmendmentViewSet,
    ContactViewSet,
    DepartmentViewSet,
    ObligationViewSet,
    OrganisationViewSet,
    RelationViewSet,
    ShareholderViewSet,
)

router = SimpleRouter()
router.register("organisations", OrganisationViewSet, basename="organisation")
router.register("agreements", AgreementViewSet, basename="agreement")
router.register("amendments", AmendmentViewSet, basename="amendment")
router.register("obligations", ObligationViewSet, basename="obligation")
router.register("shareholders", ShareholderViewSet, basename="shareholder")
router.register("relations", RelationViewSet, basename="relation")
router.register("contacts", ContactViewSet, basename="contact")
router.register("departments", DepartmentViewSet, basename="department")
