"""Beat's door to the mail queue."""

from celery import shared_task

from notifications import services


@shared_task(name="notifications.send_pending")
def send_pending() -> None:
    """Send what waits."""
    services.send_pending()
