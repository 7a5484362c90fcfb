"""Addresses of audit."""

from django.urls import path

from audit import views

app_name = "audit"
urlpatterns = [
    path("staff/audit/", views.Events.as_view(), name="events"),
    path("staff/audit/verify/", views.VerifyChain.as_view(), name="verify"),
]
