"""Puts PortalAdminSite in the place of Django's own site (INSTALLED_APPS names this class)."""

from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    default_site = "portal.admin_site.PortalAdminSite"
