"""Organisations, their people, and the MOUs."""

from partners.models.agreements import Agreement, AgreementQuerySet
from partners.models.amendments import Amendment, AmendmentQuerySet
from partners.models.contacts import Contact, Department
from partners.models.obligations import AgreementNotice, Obligation, ObligationQuerySet
from partners.models.organisations import (
    Invitation,
    Membership,
    Organisation,
    OrganisationQuerySet,
    check_registration_number,
    lazystr_of,
    organisation_ids_of,
)
from partners.models.related import Relation, Shareholder
from partners.models.signatures import AgreementSignature

__all__ = [
    "Agreement",
    "AgreementNotice",
    "AgreementQuerySet",
    "AgreementSignature",
    "Amendment",
    "AmendmentQuerySet",
    "Contact",
    "Department",
    "Invitation",
    "Membership",
    "Obligation",
    "ObligationQuerySet",
    "Organisation",
    "OrganisationQuerySet",
    "Relation",
    "Shareholder",
    "check_registration_number",
    "lazystr_of",
    "organisation_ids_of",
]
