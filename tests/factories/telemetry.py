"""What devices measured, as ingest leaves it."""

from datetime import datetime
from typing import Any

from cluster.models import Device
from telemetry.models import LatestSample, Sample


def make_sample(device: Device, at: datetime, utilisation_percent: int | None, **figures: Any) -> None:
    """A sample, and the device's newest one with it where none is newer."""
    said = {"at": at, "utilisation_percent": utilisation_percent, **figures}
    Sample.objects.create(device=device, **said)
    latest = LatestSample.objects.filter(device=device).first()
    if latest is None or latest.at < at:
        LatestSample.objects.update_or_create(device=device, defaults={"newest_at": at, **said})
