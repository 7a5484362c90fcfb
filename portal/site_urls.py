"""Home and the addresses for machines that watch us."""

from django.urls import path

from portal import health, site_views, styleguide

urlpatterns = [
    path("", site_views.HomePage.as_view(), name="home"),
    path("staff/styleguide/", styleguide.StyleguidePage.as_view(), name="styleguide"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
    path("metrics/devices", health.device_metrics_page, name="metrics-devices"),
]
