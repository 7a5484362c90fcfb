"""Addresses of reviews, in the namespace of proposals."""

from django.urls import path

from proposals.views import assignments, named_files, ranking, reviewers, reviews, steps

urlpatterns = [
    path("reviews/", reviews.ReviewList.as_view(), name="reviews"),
    path("reviews/profile/", reviews.ReviewerProfilePage.as_view(), name="reviewer-profile"),
    path("reviews/join/<str:token>/", reviewers.ReviewerJoin.as_view(), name="reviewer-join"),
    path("reviews/<slug:public_id>/", reviews.ReviewPage.as_view(), name="review"),
    path("reviews/<slug:public_id>/declare/", reviews.ReviewDeclare.as_view(), name="review-declare"),
    path("reviews/<slug:public_id>/save/", reviews.ReviewSave.as_view(), name="review-save"),
    path("reviews/<slug:public_id>/files/<slug:file_id>/", reviews.ReviewFile.as_view(), name="review-file"),
    path("staff/reviewers/", reviewers.ReviewerList.as_view(), name="reviewers"),
    path("staff/reviewers/invite/", reviewers.ReviewerInvite.as_view(), name="reviewer-invite"),
    path(
        "staff/reviewers/invitations/<slug:public_id>/revoke/",
        reviewers.ReviewerInvitationRevoke.as_view(),
        name="reviewer-invitation-revoke",
    ),
    path("staff/reviewers/<slug:public_id>/", reviews.ReviewerPage.as_view(), name="reviewer"),
    path("staff/steps/", steps.StepList.as_view(), name="steps"),
    path("staff/steps/<slug:public_id>/", steps.StepPage.as_view(), name="step"),
    path("staff/steps/<slug:public_id>/reopen/", steps.StepReopen.as_view(), name="step-reopen"),
    path("staff/files/", named_files.NamedFiles.as_view(), name="named-files"),
    path("staff/calls/<slug:public_id>/assignments/", assignments.Board.as_view(), name="call-assignments"),
    path("staff/calls/<slug:public_id>/propose/", assignments.Propose.as_view(), name="call-propose"),
    path("staff/calls/<slug:public_id>/send/", assignments.Send.as_view(), name="call-send"),
    path("staff/calls/<slug:public_id>/progress/", assignments.Progress.as_view(), name="call-progress"),
    path("staff/calls/<slug:public_id>/ranking/", ranking.RankingPage.as_view(), name="call-ranking"),
    path("staff/proposals/<slug:public_id>/reviews/", assignments.Sheet.as_view(), name="proposal-reviews"),
    path("staff/proposals/<slug:public_id>/assign/", assignments.Assign.as_view(), name="proposal-assign"),
    path("staff/proposals/<slug:public_id>/waive/", assignments.Waive.as_view(), name="proposal-waive"),
    path("staff/assignments/<slug:public_id>/remove/", assignments.Remove.as_view(), name="assignment-remove"),
    path("staff/assignments/<slug:public_id>/reopen/", assignments.Reopen.as_view(), name="assignment-reopen"),
]
