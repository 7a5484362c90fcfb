"""Shapes of the API of organisations and agreements."""

from partners.serializers.agreements import (
    AgreementSerializer,
    DocumentSerializer,
    RegisterAgreementSerializer,
    WrittenReasonSerializer,
)
from partners.serializers.organisations import (
    EditOrganisationSerializer,
    InvitationSerializer,
    InviteSerializer,
    MemberSerializer,
    OrganisationSerializer,
    RegisterOrganisationSerializer,
)

__all__ = [
    "AgreementSerializer",
    "DocumentSerializer",
    "EditOrganisationSerializer",
    "InvitationSerializer",
    "InviteSerializer",
    "MemberSerializer",
    "OrganisationSerializer",
    "RegisterAgreementSerializer",
    "RegisterOrganisationSerializer",
    "WrittenReasonSerializer",
]
