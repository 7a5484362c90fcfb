"""API routes of projects; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from projects.api import ProjectViewSet

router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
