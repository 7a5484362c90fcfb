"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's name, and whether this is the demonstration."""
    return {"SITE_NAME": settings.SITE_NAME, "DEMO": settings.DEMO}
