"""API routes of reports; portal.urls mounts them under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from reports.api import FleetView
from reports.board_api import CapacityDetailsView, CapacityView
from reports.health_api import Offenders, RefusedCalls, SharedPools, XidRule, XidRules
from reports.machines_api import OperatedDevices, OperatedNodes, Windows
from reports.programme_api import ProgrammeView
from reports.storage_api import StorageView

router = SimpleRouter()
router.register("nodes", OperatedNodes, basename="node")
router.register("devices", OperatedDevices, basename="device")
router.register("maintenance-windows", Windows, basename="maintenance-window")
router.register("pools", SharedPools, basename="pool")
urlpatterns = [
    path("capacity/", CapacityView.as_view(), name="capacity"),
    path("capacity/details/", CapacityDetailsView.as_view(), name="capacity-details"),
    path("fleet/", FleetView.as_view(), name="fleet"),
    path("programme/", ProgrammeView.as_view(), name="programme"),
    path("storage/", StorageView.as_view(), name="measurement-storage"),
    path("offenders/", Offenders.as_view(), name="offenders"),
    path("refused-calls/", RefusedCalls.as_view(), name="refused-calls"),
    path("xid-policies/", XidRules.as_view(), name="xid-policies"),
    path("xid-policies/<slug:xid>/", XidRule.as_view(), name="xid-policy"),
]
