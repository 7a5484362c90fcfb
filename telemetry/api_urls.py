"""API routes of telemetry; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from telemetry.api import LatestSampleViewSet

router = SimpleRouter()
router.register("samples", LatestSampleViewSet, basename="sample")
