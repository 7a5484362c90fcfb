"""API routes of notifications; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()
