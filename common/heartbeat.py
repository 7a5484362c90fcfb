"""Parts of the system that must run say so; whoever watches reads how long ago."""

from datetime import datetime

from django.utils import timezone

from common.models import Heartbeat

WORKER = "worker"
RECONCILER = "reconciler"


def beat(name: str, now: datetime | None = None) -> None:
    """Write that `name` lives now. One row a name, overwritten."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": now or timezone.now()})


def ages(now: datetime | None = None) -> dict[str, float]:
    """Seconds since each known name was heard; a name that never spoke is absent."""
    now = now or timezone.now()
    return {row.name: max(0.0, (now - row.at).total_seconds()) for row in Heartbeat.objects.all()}
