"""Addresses of notifications."""

from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("inbox/", views.Inbox.as_view(), name="inbox"),
    path("inbox/read/", views.MarkAllRead.as_view(), name="mark-all-read"),
    path("inbox/<slug:public_id>/", views.Open.as_view(), name="open"),
]
