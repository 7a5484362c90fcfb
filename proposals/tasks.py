"""What the clock does to proposals."""

from celery import shared_task
from django.utils import timezone

from proposals.services import expiring


@shared_task(name="proposals.keep_answers")
def keep_answers() -> None:
    """Remind of awards that wait for an answer; let those expire whose last moment has passed."""
    expiring.keep_answers(timezone.now())
