"""API routes of allocations; portal.urls mounts them under /api/v1/."""

from rest_framework.routers import SimpleRouter

from allocations.api import AllocationViewSet, AvailabilityViewSet, CalendarFeedViewSet, LeaseViewSet
from allocations.books_api import AdjustmentViewSet, PoolWeightViewSet

router = SimpleRouter()
router.register("allocations", AllocationViewSet, basename="allocation")
router.register("leases", LeaseViewSet, basename="lease")
router.register("availability", AvailabilityViewSet, basename="availability")
router.register("calendar-feed", CalendarFeedViewSet, basename="calendar-feed")
router.register("adjustments", AdjustmentViewSet, basename="adjustment")
router.register("pool-weights", PoolWeightViewSet, basename="weight")
