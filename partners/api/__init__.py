"""The API skin of organisations and agreements."""

from partners.api.agreements import AgreementViewSet
from partners.api.bodies import body_of
from partners.api.organisations import OrganisationViewSet

__all__ = ["AgreementViewSet", "OrganisationViewSet", "body_of"]
