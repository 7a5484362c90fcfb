"""What the clock does to agreements."""

from celery import shared_task
from django.utils import timezone

from common.actors import SystemActor
from partners.services import agreements, amending, notices, obligations


@shared_task(name="partners.lapse_agreements")
def lapse_agreements() -> int:
    """Let agreements lapse whose last day is over where the agency is; how many did."""
    return agreements.lapse_due(actor=SystemActor("clock"), today=timezone.localdate())


@shared_task(name="partners.apply_amendments")
def apply_amendments() -> int:
    """Let amendments take effect whose day has come; how many did."""
    return amending.apply_due(today=timezone.localdate())


@shared_task(name="partners.tell_in_time")
def tell_in_time() -> int:
    """Notices before agreements end, reminders of what is owed; how many went out."""
    today = timezone.localdate()
    return notices.notify_ends(today=today) + obligations.remind_due(today=today)
