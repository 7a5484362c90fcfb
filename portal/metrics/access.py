"""Who may read the metrics."""

import hmac
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def may_read(request: HttpRequest) -> bool:
    """The bearer token, or an address of METRICS_ALLOW that asks us straight.

    A request that came through a proxy carries X-Forwarded-For, and its address is the proxy's: then only the token
    counts, or every visitor would look like our own host.
    """
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if settings.METRICS_TOKEN != "-" and hmac.compare_digest(offered.encode(), settings.METRICS_TOKEN.encode()):
        return True
    if "X-Forwarded-For" in request.headers:
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(address in ip_network(allowed, strict=False) for allowed in settings.METRICS_ALLOW)
