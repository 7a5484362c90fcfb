"""The API skin of organisations and agreements."""

from partners.api.agreements import AgreementViewSet
from partners.api.amendments import AmendmentViewSet, ObligationViewSet
from partners.api.bodies import body_of
from partners.api.organisations import OrganisationViewSet
from partners.api.profile import ContactViewSet, DepartmentViewSet, RelationViewSet, ShareholderViewSet

__all__ = [
    "AgreementViewSet",
    "AmendmentViewSet",
    "ContactViewSet",
    "DepartmentViewSet",
    "ObligationViewSet",
    "OrganisationViewSet",
    "RelationViewSet",
    "ShareholderViewSet",
    "body_of",
]
