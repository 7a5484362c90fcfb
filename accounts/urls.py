"""Addresses of accounts: one's own under /account/, the agency's people under /staff/people/."""

from django.urls import path

from accounts.views import own, people

app_name = "accounts"
urlpatterns = [
    path("account/", own.Profile.as_view(), name="profile"),
    path("account/keys/", own.SshKeys.as_view(), name="keys"),
    path("account/keys/<slug:public_id>/remove/", own.SshKeyRemove.as_view(), name="key-remove"),
    path("account/tokens/", own.ApiTokens.as_view(), name="tokens"),
    path("account/tokens/<slug:public_id>/revoke/", own.ApiTokenRevoke.as_view(), name="token-revoke"),
    path("staff/people/", people.PeopleList.as_view(), name="people"),
    path("staff/people/grant/", people.RoleGrantPage.as_view(), name="role-grant"),
    path("staff/people/<slug:public_id>/revoke/", people.RoleRevokePage.as_view(), name="role-revoke"),
]
