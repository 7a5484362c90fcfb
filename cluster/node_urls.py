"""Addresses for agents only, under /api/node/v1/."""

from django.urls import path

from cluster import node_api

urlpatterns = [
    path("join/", node_api.JoinView.as_view(), name="node-join"),
    path("hello/", node_api.HelloView.as_view(), name="node-hello"),
    path("heartbeat/", node_api.HeartbeatView.as_view(), name="node-heartbeat"),
    path("commands/<slug:public_id>/", node_api.CommandView.as_view(), name="node-command"),
    path("commands/<slug:public_id>/result/", node_api.ResultView.as_view(), name="node-result"),
    path("reports/", node_api.ReportView.as_view(), name="node-report"),
    path("events/", node_api.EventsView.as_view(), name="node-event"),
]
