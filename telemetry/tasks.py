"""Beat's doors."""

from celery import shared_task
from django.utils import timezone

from telemetry import partitions, services


@shared_task(name="telemetry.roll_up")
def roll_up() -> None:
    """Minutes since the last time, and what came late."""
    services.roll_up(timezone.now())


@shared_task(name="telemetry.roll_up_hours")
def roll_up_hours() -> None:
    """Hours of devices and pools, days."""
    services.roll_up_hours(timezone.now())


@shared_task(name="telemetry.make_partitions")
def make_partitions() -> None:
    """Some days ahead."""
    partitions.ensure(timezone.now())


@shared_task(name="telemetry.tidy")
def tidy() -> None:
    """What is past its time goes."""
    services.tidy(timezone.now())
