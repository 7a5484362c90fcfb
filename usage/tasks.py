"""Beat's doors."""

from celery import shared_task
from django.utils import timezone

from usage.services import following


@shared_task(name="usage.watch_idle")
def watch_idle() -> None:
    """Cases that are open, and reservations that stand idle."""
    following.watch(timezone.now())
