"""What the clock does to agreements."""

from celery import shared_task
from django.utils import timezone

from common.actors import SystemActor
from partners.services import agreements


@shared_task(name="partners.lapse_agreements")
def lapse_agreements() -> int:
    """Let agreements lapse whose last day is over where the agency is; how many did."""
    return agreements.lapse_due(actor=SystemActor("clock"), today=timezone.localdate())
