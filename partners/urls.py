"""Addresses of partners."""

from django.urls import path

from partners.views import agreements, invitations, organisations

app_name = "partners"
urlpatterns = [
    path("organisations/", organisations.OrganisationList.as_view(), name="organisations"),
    path("organisations/new/", organisations.OrganisationNew.as_view(), name="organisation-new"),
    path("organisations/<slug:public_id>/", organisations.OrganisationPage.as_view(), name="organisation"),
    path("organisations/<slug:public_id>/edit/", organisations.OrganisationEdit.as_view(), name="organisation-edit"),
    path("organisations/<slug:public_id>/invite/", organisations.MemberInvite.as_view(), name="member-invite"),
    path("organisations/<slug:public_id>/transfer/", organisations.OwnershipTransfer.as_view(), name="transfer"),
    path(
        "organisations/<slug:public_id>/members/<slug:user_id>/role/",
        organisations.MemberRole.as_view(),
        name="member-role",
    ),
    path(
        "organisations/<slug:public_id>/members/<slug:user_id>/remove/",
        organisations.MemberRemove.as_view(),
        name="member-remove",
    ),
    path(
        "organisations/<slug:public_id>/invitations/<slug:invitation_id>/revoke/",
        organisations.InvitationRevoke.as_view(),
        name="invitation-revoke",
    ),
    path(
        "organisations/<slug:public_id>/invitations/<slug:invitation_id>/resend/",
        organisations.InvitationResend.as_view(),
        name="invitation-resend",
    ),
    path("organisations/<slug:public_id>/agreements/new/", agreements.AgreementNew.as_view(), name="agreement-new"),
    path("invitations/<str:token>/", invitations.InvitationPage.as_view(), name="invitation"),
    path("agreements/", agreements.AgreementList.as_view(), name="agreements"),
    path("agreements/<slug:public_id>/", agreements.AgreementPage.as_view(), name="agreement"),
    path("agreements/<slug:public_id>/edit/", agreements.AgreementEdit.as_view(), name="agreement-edit"),
    path("agreements/<slug:public_id>/document/", agreements.AgreementDocument.as_view(), name="agreement-document"),
    path("agreements/<slug:public_id>/activate/", agreements.AgreementActivate.as_view(), name="agreement-activate"),
    path("agreements/<slug:public_id>/suspend/", agreements.AgreementSuspend.as_view(), name="agreement-suspend"),
    path("agreements/<slug:public_id>/resume/", agreements.AgreementResume.as_view(), name="agreement-resume"),
    path("agreements/<slug:public_id>/terminate/", agreements.AgreementTerminate.as_view(), name="agreement-terminate"),
]
