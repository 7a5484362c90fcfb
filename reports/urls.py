"""Addresses of reports: the agency's pages about the machines."""

from django.urls import path

from reports.views import board, enrolling, fleet, health, machines, measuring, operating, programme, storage

app_name = "reports"
urlpatterns = [
    path("staff/", fleet.FleetPage.as_view(), name="fleet"),
    path("staff/live/", fleet.FleetLive.as_view(), name="fleet-live"),
    path("staff/map/", fleet.FleetMap.as_view(), name="fleet-map"),
    path("staff/series.json", fleet.FleetSeries.as_view(), name="fleet-series"),
    path("staff/capacity/", board.BoardPage.as_view(), name="capacity"),
    path("staff/capacity/details/", board.DetailsPage.as_view(), name="capacity-details"),
    path("staff/health/", health.HealthPage.as_view(), name="health"),
    path("staff/health/xids/", health.XidRules.as_view(), name="xids"),
    path("staff/health/xids/<int:xid>/", health.ChangeXid.as_view(), name="xid-change"),
    path("staff/health/xids/<int:xid>/forget/", health.ForgetXid.as_view(), name="xid-forget"),
    path("staff/pools/", health.PoolsPage.as_view(), name="pools"),
    path("staff/pools/<slug:public_id>/share/", health.SharePool.as_view(), name="pool-share"),
    path("staff/pools/<slug:public_id>/terms/", health.PoolTerms.as_view(), name="pool-terms"),
    path("staff/programme/", programme.ProgrammePage.as_view(), name="programme"),
    path("staff/storage/", storage.StoragePage.as_view(), name="storage"),
    path("staff/nodes/", machines.NodeList.as_view(), name="nodes"),
    path("staff/nodes/new/", enrolling.NewNode.as_view(), name="node-new"),
    path("staff/nodes/<slug:public_id>/", machines.NodePage.as_view(), name="node"),
    path("staff/nodes/<slug:public_id>/series.json", measuring.NodeSeries.as_view(), name="node-series"),
    path("staff/nodes/<slug:public_id>/host.json", measuring.NodeHostSeries.as_view(), name="node-host-series"),
    path("staff/nodes/<slug:public_id>/drain/", operating.DrainNode.as_view(), name="node-drain"),
    path("staff/nodes/<slug:public_id>/resume/", operating.ResumeNode.as_view(), name="node-resume"),
    path("staff/nodes/<slug:public_id>/maintain/", operating.MaintainNode.as_view(), name="node-maintain"),
    path("staff/nodes/<slug:public_id>/window/", operating.AnnounceWindow.as_view(), name="node-window"),
    path("staff/nodes/<slug:public_id>/retire/", operating.RetireNode.as_view(), name="node-retire"),
    path("staff/nodes/<slug:public_id>/confirm/", enrolling.ConfirmInventory.as_view(), name="node-confirm"),
    path("staff/nodes/<slug:public_id>/join-token/", enrolling.NewJoinToken.as_view(), name="node-join-token"),
    path("staff/nodes/<slug:public_id>/rotate-token/", enrolling.RotateToken.as_view(), name="node-rotate-token"),
    path("staff/windows/<slug:public_id>/cancel/", operating.CancelWindow.as_view(), name="window-cancel"),
    path("staff/devices/<slug:public_id>/", machines.DevicePage.as_view(), name="device"),
    path("staff/devices/<slug:public_id>/series.json", measuring.DeviceSeries.as_view(), name="device-series"),
    path("staff/devices/<slug:public_id>/quarantine/", operating.QuarantineDevice.as_view(), name="device-quarantine"),
    path("staff/devices/<slug:public_id>/return/", operating.ReturnDevice.as_view(), name="device-return"),
    path("staff/devices/<slug:public_id>/send-back/", operating.SendDeviceBack.as_view(), name="device-send-back"),
    path("staff/devices/<slug:public_id>/partition/", operating.PartitionDevice.as_view(), name="device-partition"),
    path("staff/devices/<slug:public_id>/retire/", operating.RetireDevice.as_view(), name="device-retire"),
]
