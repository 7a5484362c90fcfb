"""Addresses of partners."""

from django.urls import path

from partners.views import (
    agreements,
    amendments,
    documents,
    invitations,
    obligations,
    organisations,
    profile,
    signing,
    standing,
)

app_name = "partners"
urlpatterns = [
    path("organisations/", organisations.OrganisationList.as_view(), name="organisations"),
    path("organisations/new/", organisations.OrganisationNew.as_view(), name="organisation-new"),
    path("organisations/<slug:public_id>/", organisations.OrganisationPage.as_view(), name="organisation"),
    path("organisations/<slug:public_id>/edit/", organisations.OrganisationEdit.as_view(), name="organisation-edit"),
    path("organisations/<slug:public_id>/profile/", profile.OrganisationProfile.as_view(), name="organisation-profile"),
    path(
        "organisations/<slug:public_id>/shareholders/new/",
        profile.ShareholderNew.as_view(),
        name="organisation-shareholder",
    ),
    path("organisations/<slug:public_id>/relations/new/", profile.RelationNew.as_view(), name="organisation-relation"),
    path("organisations/<slug:public_id>/contacts/new/", profile.ContactNew.as_view(), name="organisation-contact"),
    path(
        "organisations/<slug:public_id>/departments/new/",
        profile.DepartmentNew.as_view(),
        name="organisation-department",
    ),
    path("shareholders/<slug:public_id>/edit/", profile.ShareholderEdit.as_view(), name="shareholder-edit"),
    path("shareholders/<slug:public_id>/remove/", profile.ShareholderRemove.as_view(), name="shareholder-remove"),
    path("relations/<slug:public_id>/remove/", profile.RelationRemove.as_view(), name="relation-remove"),
    path("contacts/<slug:public_id>/edit/", profile.ContactEdit.as_view(), name="contact-edit"),
    path("contacts/<slug:public_id>/remove/", profile.ContactRemove.as_view(), name="contact-remove"),
    path("departments/<slug:public_id>/edit/", profile.DepartmentEdit.as_view(), name="department-edit"),
    path("departments/<slug:public_id>/remove/", profile.DepartmentRemove.as_view(), name="department-remove"),
    path("organisations/<slug:public_id>/may/", standing.OrganisationMay.as_view(), name="organisation-may"),
    path("organisations/<slug:public_id>/invite/", organisations.MemberInvite.as_view(), name="member-invite"),
    path("organisations/<slug:public_id>/transfer/", organisations.OwnershipTransfer.as_view(), name="transfer"),
    path(
        "organisations/<slug:public_id>/members/<slug:user_id>/role/",
        organisations.MemberRole.as_view(),
        name="member-role",
    ),
    path(
        "organisations/<slug:public_id>/members/<slug:user_id>/department/",
        organisations.MemberDepartment.as_view(),
        name="member-department",
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
    path("agreements/<slug:public_id>/document/", documents.AgreementDocument.as_view(), name="agreement-document"),
    path("agreements/<slug:public_id>/activate/", agreements.AgreementActivate.as_view(), name="agreement-activate"),
    path("agreements/<slug:public_id>/suspend/", agreements.AgreementSuspend.as_view(), name="agreement-suspend"),
    path("agreements/<slug:public_id>/resume/", agreements.AgreementResume.as_view(), name="agreement-resume"),
    path("agreements/<slug:public_id>/terminate/", agreements.AgreementTerminate.as_view(), name="agreement-terminate"),
    path("agreements/<slug:public_id>/renew/", agreements.AgreementRenew.as_view(), name="agreement-renew"),
    path("agreements/<slug:public_id>/sign/", signing.AgreementSign.as_view(), name="agreement-sign"),
    path(
        "agreements/<slug:public_id>/sign-on-paper/",
        signing.AgreementSignOnPaper.as_view(),
        name="agreement-sign-on-paper",
    ),
    path("agreements/<slug:public_id>/amend/", amendments.AmendmentNew.as_view(), name="agreement-amend"),
    path(
        "agreements/<slug:public_id>/obligations/new/", obligations.ObligationNew.as_view(), name="agreement-obligation"
    ),
    path("amendments/<slug:public_id>/", amendments.AmendmentPage.as_view(), name="amendment"),
    path("amendments/<slug:public_id>/edit/", amendments.AmendmentEdit.as_view(), name="amendment-edit"),
    path("amendments/<slug:public_id>/document/", documents.AmendmentDocument.as_view(), name="amendment-document"),
    path("amendments/<slug:public_id>/sign/", signing.AmendmentSign.as_view(), name="amendment-sign"),
    path(
        "amendments/<slug:public_id>/sign-on-paper/",
        signing.AmendmentSignOnPaper.as_view(),
        name="amendment-sign-on-paper",
    ),
    path("amendments/<slug:public_id>/agree/", amendments.AmendmentAgree.as_view(), name="amendment-agree"),
    path("amendments/<slug:public_id>/withdraw/", amendments.AmendmentWithdraw.as_view(), name="amendment-withdraw"),
    path("obligations/<slug:public_id>/edit/", obligations.ObligationEdit.as_view(), name="obligation-edit"),
    path("obligations/<slug:public_id>/done/", obligations.ObligationFulfil.as_view(), name="obligation-fulfil"),
    path("obligations/<slug:public_id>/reopen/", obligations.ObligationReopen.as_view(), name="obligation-reopen"),
    path("obligations/<slug:public_id>/remove/", obligations.ObligationRemove.as_view(), name="obligation-remove"),
]
