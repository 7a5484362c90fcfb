"""API routes of reports; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from reports.api import FleetView

router = SimpleRouter()
urlpatterns = [path("fleet/", FleetView.as_view(), name="fleet")]
