"""Every address of the portal."""

from importlib import import_module

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from accounts.views.own import set_language

API_APPS = (
    "partners",
    "proposals",
    "projects",
    "allocations",
    "usage",
    "telemetry",
    "reports",
    "notifications",
    "accounts",
    "audit",
)


def _api_routes() -> list:
    routes: list = []
    for app in API_APPS:
        module = import_module(f"{app}.api_urls")
        routes += module.router.urls + getattr(module, "urlpatterns", [])
    return routes


urlpatterns = [
    # first, because they are asked for most often by far: what stands before them is tried at each call
    path("api/node/v1/", include("telemetry.node_urls")),
    path("api/node/v1/", include("cluster.node_urls")),
    path("", include("portal.site_urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls")),
    path("", include("partners.urls")),
    path("", include("proposals.urls")),
    path("", include("projects.urls")),
    path("", include("allocations.urls")),
    path("", include("usage.urls")),
    path("", include("notifications.urls")),
    path("", include("audit.urls")),
    path("", include("reports.urls")),
    path("i18n/setlang/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(_api_routes())),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
]
handler500 = "portal.errors.failed"
if settings.DEMO:
    urlpatterns.append(path("demo/", include("portal.demo.urls")))
