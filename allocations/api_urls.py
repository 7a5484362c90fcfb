"""API routes of allocations; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from allocations.api.allocations import AllocationViewSet
from allocations.api.availability import AvailabilityViewSet
from allocations.api.books import AdjustmentViewSet, PoolWeightViewSet
from allocations.api.feeds import CalendarFeedViewSet
from allocations.api.leases import LeaseViewSet
from allocations.api.rules import AllRules, BlackoutViewSet, RulesOf
from allocations.api.waitlist import WaitListViewSet

router = SimpleRouter()
router.register("blackouts", BlackoutViewSet, basename="blackout")
router.register("allocations", AllocationViewSet, basename="allocation")
router.register("leases", LeaseViewSet, basename="lease")
router.register("waitlist", WaitListViewSet, basename="wait-entry")
router.register("availability", AvailabilityViewSet, basename="availability")
router.register("calendar-feed", CalendarFeedViewSet, basename="calendar-feed")
router.register("adjustments", AdjustmentViewSet, basename="adjustment")
router.register("pool-weights", PoolWeightViewSet, basename="weight")
urlpatterns = [
    path("booking-rules/", AllRules.as_view(), name="booking-rules"),
    path("booking-rules/<slug:scope>/<slug:public_id>/", RulesOf.as_view(), name="booking-rules-of"),
]
