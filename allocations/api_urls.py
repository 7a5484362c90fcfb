"""API routes of allocations; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from allocations.api import AllocationViewSet, AvailabilityViewSet, CalendarFeedViewSet, LeaseViewSet
from allocations.books_api import AdjustmentViewSet, PoolWeightViewSet
from allocations.rule_api import AllRules, BlackoutViewSet, RulesOf
from allocations.waitlist_api import WaitListViewSet

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
