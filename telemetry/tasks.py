"""Beat's doors."""

from celery import shared_task
from django.utils import timezone

from telemetry import services


@shared_task(name="telemetry.roll_up")
def roll_up() -> None:
    """Minutes of the last two hours."""
    services.roll_up(timezone.now())


@shared_task(name="telemetry.roll_up_pools")
def roll_up_pools() -> None:
    """Hours of the pools."""
    services.roll_up_pools(timezone.now())


@shared_task(name="telemetry.tidy")
def tidy() -> None:
    """What is older than a week goes."""
    services.tidy(timezone.now())
