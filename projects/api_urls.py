"""API routes of projects; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from projects.api import ProjectViewSet
from projects.progress_api import ProgressReportViewSet

router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("progress-reports", ProgressReportViewSet, basename="progress-report")
