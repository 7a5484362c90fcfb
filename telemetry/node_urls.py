"""Addresses for agents only (samples), under /api/node/v1/."""

from django.urls import path

from telemetry.node_api import SamplesView

urlpatterns = [path("samples/", SamplesView.as_view(), name="node-samples")]
