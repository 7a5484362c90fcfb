"""The portal's own household."""

from datetime import timedelta

from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

from common import heartbeat
from common.models import Submission

SUBMISSION_DAYS = 7  # a form left open longer than this gets a fresh key from the page


@shared_task(name="portal.worker_heartbeat")
def worker_heartbeat() -> None:
    """Beat, broker, worker and database all live, or this row grows old."""
    heartbeat.beat(heartbeat.WORKER)


@shared_task(name="portal.tidy")
def tidy() -> int:
    """Forget old form keys and expired sessions; the number of keys forgotten."""
    forgotten, _by_model = Submission.objects.filter(
        created_at__lt=timezone.now() - timedelta(days=SUBMISSION_DAYS)
    ).delete()
    call_command("clearsessions")
    return forgotten
