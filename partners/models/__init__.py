"""Organisations, their people, and the MOUs."""

from partners.models.agreements import Agreement, AgreementQuerySet
from partners.models.organisations import (
    Invitation,
    Membership,
    Organisation,
    OrganisationQuerySet,
    check_registration_number,
    lazystr_of,
    organisation_ids_of,
)

__all__ = [
    "Agreement",
    "AgreementQuerySet",
    "Invitation",
    "Membership",
    "Organisation",
    "OrganisationQuerySet",
    "check_registration_number",
    "lazystr_of",
    "organisation_ids_of",
]
