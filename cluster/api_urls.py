"""API routes of cluster; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from cluster.api import DeviceViewSet, NodeViewSet, PoolViewSet

router = SimpleRouter()
router.register("pools", PoolViewSet, basename="pool")
router.register("nodes", NodeViewSet, basename="node")
router.register("devices", DeviceViewSet, basename="device")
