"""The API skin of organisations and agreements."""

from partners.api.agreements import AgreementViewSet
from partners.api.amendments import AmendmentViewSet, ObligationViewSet
from partners.api.bodies import body_of
from partners.api.organisations import OrganisationViewSet

__all__ = ["AgreementViewSet", "AmendmentViewSet", "ObligationViewSet", "OrganisationViewSet", "body_of"]
