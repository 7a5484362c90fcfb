"""Addresses of projects."""

from django.urls import path

from projects import progress_views, views

app_name = "projects"
urlpatterns = [
    path("projects/", views.ProjectList.as_view(), name="projects"),
    path("projects/<slug:public_id>/", views.ProjectPage.as_view(), name="project"),
    path("projects/<slug:public_id>/report/", progress_views.ProgressNew.as_view(), name="progress-new"),
    path("progress-reports/<slug:public_id>/", progress_views.ProgressPage.as_view(), name="progress"),
    path("progress-reports/<slug:public_id>/edit/", progress_views.ProgressEdit.as_view(), name="progress-edit"),
    path("progress-reports/<slug:public_id>/accept/", progress_views.ProgressAccept.as_view(), name="progress-accept"),
    path(
        "progress-reports/<slug:public_id>/send-back/",
        progress_views.ProgressSendBack.as_view(),
        name="progress-send-back",
    ),
    path("staff/progress-reports/", progress_views.ProgressList.as_view(), name="progress-list"),
    path("projects/<slug:public_id>/team/add/", views.TeamAdd.as_view(), name="team-add"),
    path("projects/<slug:public_id>/team/<slug:user_id>/remove/", views.TeamRemove.as_view(), name="team-remove"),
]
