"""Addresses of what is decided: prepared, released, written, appealed against, changed later."""

from django.urls import path

from proposals.views import changes, letters, outcomes, preparing, releasing

urlpatterns = [
    path("proposals/<slug:public_id>/appeal/", outcomes.ProposalAppeal.as_view(), name="proposal-appeal"),
    path("changes/", changes.ChangeList.as_view(), name="change-requests"),
    path("changes/<slug:public_id>/", changes.ChangePage.as_view(), name="change-request"),
    path("changes/<slug:public_id>/withdraw/", changes.ChangeWithdraw.as_view(), name="change-request-withdraw"),
    path("staff/changes/<slug:public_id>/grant/", changes.ChangeGrant.as_view(), name="change-request-grant"),
    path("staff/changes/<slug:public_id>/decline/", changes.ChangeDecline.as_view(), name="change-request-decline"),
    path("allocations/<slug:public_id>/change/", changes.ChangeNew.as_view(), name="change-request-new"),
    path("allocations/<slug:public_id>/change/<str:what>/", changes.ChangeAsk.as_view(), name="change-request-ask"),
    path("letters/<slug:public_id>/", letters.LetterPage.as_view(), name="letter"),
    path("letters/<slug:public_id>/file/", letters.LetterFile.as_view(), name="letter-file"),
    path("staff/letters/", letters.LetterTexts.as_view(), name="letter-texts"),
    path("staff/letters/<slug:kind>/", letters.LetterTextEdit.as_view(), name="letter-text"),
    path("staff/proposals/<slug:public_id>/hold/", outcomes.Hold.as_view(), name="hold"),
    path("staff/proposals/<slug:public_id>/resume/", outcomes.Resume.as_view(), name="resume"),
    path("staff/proposals/<slug:public_id>/appeal/dismiss/", outcomes.Dismiss.as_view(), name="dismiss"),
    path("staff/proposals/<slug:public_id>/appeal/uphold/", outcomes.Uphold.as_view(), name="uphold"),
    path("staff/proposals/<slug:public_id>/prepare/", preparing.Prepare.as_view(), name="prepare"),
    path("staff/decisions/", releasing.PreparedList.as_view(), name="prepared-list"),
    path("staff/decisions/release/", releasing.Release.as_view(), name="release"),
    path("staff/decisions/decline/", preparing.DeclineMany.as_view(), name="decline-many"),
    path("staff/decisions/<slug:public_id>/", preparing.PreparedPage.as_view(), name="prepared"),
    path("staff/decisions/<slug:public_id>/approve/", preparing.PreparedApprove.as_view(), name="prepared-approve"),
    path("staff/decisions/<slug:public_id>/discard/", preparing.PreparedDiscard.as_view(), name="prepared-discard"),
]
