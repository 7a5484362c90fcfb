"""API routes of usage; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()
