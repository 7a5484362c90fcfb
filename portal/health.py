"""What watches us asks here: is the process alive, can the portal do its work, and in figures how it does."""

import gzip
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common import heartbeat
from portal import metrics

WORKER_LIMIT_SECONDS = 30.0  # it speaks every 5 s
RECONCILER_LIMIT_SECONDS = max(30.0, 6 * settings.TICK_SECONDS)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process lives; asks nothing of anybody else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 or 503, naming each part with its age in seconds."""
    checks = readiness()
    failing = [name for name, check in checks.items() if not check["ok"]]
    body = {"status": "failing" if failing else "ok", "failing": failing, "checks": checks}
    return JsonResponse(body, status=503 if failing else 200)


def readiness() -> dict[str, dict[str, Any]]:
    """Each part: {"ok", "age_seconds", "detail"}. A part that cannot be asked is not ok."""
    database = _asked(_ask_database)
    checks = {"database": database, "broker": _asked(_ask_broker)}
    ages = heartbeat.ages(timezone.now()) if database["ok"] else {}
    checks["worker"] = _aged(ages.get(heartbeat.WORKER), WORKER_LIMIT_SECONDS)
    checks["reconciler"] = _aged(ages.get(heartbeat.RECONCILER), RECONCILER_LIMIT_SECONDS)
    return checks


def _asked(question: Callable[[], object]) -> dict[str, Any]:
    try:
        question()
    except (DatabaseError, redis.RedisError, OSError) as error:
        return {"ok": False, "age_seconds": None, "detail": type(error).__name__}  # no address, no password
    return {"ok": True, "age_seconds": 0.0, "detail": "answers"}


def _aged(age_seconds: float | None, limit_seconds: float) -> dict[str, Any]:
    if age_seconds is None:
        return {"ok": False, "age_seconds": None, "detail": "never heard"}
    ok = age_seconds <= limit_seconds
    detail = "heard" if ok else f"silent for more than {limit_seconds:.0f} s"
    return {"ok": ok, "age_seconds": round(age_seconds, 1), "detail": detail}


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_broker() -> None:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
        client.ping()


@never_cache
@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Prometheus text of the portal, for whoever holds the token or asks straight from an allowed address."""
    return _exposed(request, metrics.portal_text)


@never_cache
@require_safe
def device_metrics_page(request: HttpRequest) -> HttpResponse:
    """The same of every device: a page of its own, because a site may have them from elsewhere or ask less often."""
    return _exposed(request, metrics.device_text)


def _exposed(request: HttpRequest, text: Callable[[], bytes]) -> HttpResponse:
    if not metrics.may_read(request):
        return HttpResponse("forbidden\n", status=403, content_type="text/plain")
    body, headers = text(), {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):  # as Prometheus asks: of 25,000 devices it is 50 MB
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    return HttpResponse(body, content_type=metrics.CONTENT_TYPE, headers=headers)
