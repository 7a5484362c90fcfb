"""Addresses of reports: the agency's pages about the machines."""

from django.urls import path

from reports import views

app_name = "reports"
urlpatterns = [
    path("staff/", views.FleetPage.as_view(), name="fleet"),
    path("staff/live/", views.FleetLive.as_view(), name="fleet-live"),
    path("staff/series.json", views.FleetSeries.as_view(), name="fleet-series"),
    path("staff/nodes/", views.NodeList.as_view(), name="nodes"),
    path("staff/nodes/<slug:public_id>/", views.NodePage.as_view(), name="node"),
    path("staff/nodes/<slug:public_id>/drain/", views.DrainNode.as_view(), name="node-drain"),
    path("staff/nodes/<slug:public_id>/resume/", views.ResumeNode.as_view(), name="node-resume"),
    path("staff/devices/<slug:public_id>/", views.DevicePage.as_view(), name="device"),
    path("staff/devices/<slug:public_id>/series.json", views.DeviceSeries.as_view(), name="device-series"),
]
