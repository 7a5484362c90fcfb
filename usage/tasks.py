"""Beat's doors."""

from celery import shared_task
from django.utils import timezone

from common.actors import RECONCILER
from usage.services import following, statements


@shared_task(name="usage.watch_idle")
def watch_idle() -> None:
    """Cases that are open, and reservations that stand idle."""
    following.watch(timezone.now())


@shared_task(name="usage.close_statements")
def close_statements() -> None:
    """Last month's, once it is settled."""
    statements.close_due(actor=RECONCILER, now=timezone.now())
