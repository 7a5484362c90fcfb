"""Addresses of projects."""

from django.urls import path

from projects import views

app_name = "projects"
urlpatterns = [
    path("projects/", views.ProjectList.as_view(), name="projects"),
    path("projects/<slug:public_id>/", views.ProjectPage.as_view(), name="project"),
    path("projects/<slug:public_id>/team/add/", views.TeamAdd.as_view(), name="team-add"),
    path("projects/<slug:public_id>/team/<slug:user_id>/remove/", views.TeamRemove.as_view(), name="team-remove"),
]
