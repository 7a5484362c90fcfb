"""API routes of cluster; portal.urls mounts them under /api/v1/. Nodes and devices stand in reports."""

from rest_framework.routers import SimpleRouter

from cluster.api import PoolViewSet

router = SimpleRouter()
router.register("pools", PoolViewSet, basename="pool")
