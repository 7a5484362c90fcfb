"""Beat's door to the mail queue."""

from celery import shared_task

from common.nudge import heard
from notifications import services


@shared_task(name=services.SENDING)
def send_pending() -> None:
    """Send what waits."""
    heard(services.SENDING)
    services.send_pending()
