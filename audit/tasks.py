"""Beat's door to the sealer."""

from celery import shared_task

from audit import services


@shared_task(name="audit.seal")
def seal() -> None:
    """Seal what was committed since the last time."""
    services.seal()
