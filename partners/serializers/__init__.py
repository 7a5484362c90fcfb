"""Shapes of the API of organisations and agreements."""

from partners.serializers.agreements import (
    AgreementSerializer,
    DocumentSerializer,
    EditAgreementSerializer,
    PaperSignatureSerializer,
    RegisterAgreementSerializer,
    SignatureSerializer,
    SignSerializer,
    WrittenReasonSerializer,
)
from partners.serializers.amendments import AmendmentSerializer, DraftAmendmentSerializer
from partners.serializers.obligations import (
    FulfilSerializer,
    NewObligationSerializer,
    ObligationSerializer,
    WriteObligationSerializer,
)
from partners.serializers.organisations import (
    EditOrganisationSerializer,
    InvitationSerializer,
    InviteSerializer,
    MemberRoleSerializer,
    MemberSerializer,
    MoveSerializer,
    OrganisationSerializer,
    PersonSerializer,
    PolicyAnswerSerializer,
    RegisterOrganisationSerializer,
    WishSerializer,
)

__all__ = [
    "AgreementSerializer",
    "AmendmentSerializer",
    "DocumentSerializer",
    "DraftAmendmentSerializer",
    "EditAgreementSerializer",
    "EditOrganisationSerializer",
    "FulfilSerializer",
    "InvitationSerializer",
    "InviteSerializer",
    "MemberRoleSerializer",
    "MemberSerializer",
    "MoveSerializer",
    "NewObligationSerializer",
    "ObligationSerializer",
    "OrganisationSerializer",
    "PaperSignatureSerializer",
    "PersonSerializer",
    "PolicyAnswerSerializer",
    "RegisterAgreementSerializer",
    "RegisterOrganisationSerializer",
    "SignSerializer",
    "SignatureSerializer",
    "WishSerializer",
    "WriteObligationSerializer",
    "WrittenReasonSerializer",
]
