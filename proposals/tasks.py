"""What the clock does to proposals."""

from celery import shared_task
from django.utils import timezone

from proposals.services import announcing, expiring, granting, reminding, searching


@shared_task(name="proposals.keep_answers")
def keep_answers() -> None:
    """Remind of awards that wait for an answer; let those expire whose last moment has passed."""
    expiring.keep_answers(timezone.now())


@shared_task(name="proposals.remind_reviews")
def remind_reviews() -> int:
    """Remind of deadlines of steps and reviews that come near or are over; of how many."""
    return reminding.remind(now=timezone.now())


@shared_task(name="proposals.announce_calls")
def announce_calls() -> int:
    """Tell those who may propose of calls whose moment of publication has come; how many people were told."""
    return announcing.announce(now=timezone.now())


@shared_task(name="proposals.fast_lane")
def fast_lane(proposal_ref: str = "") -> int:
    """Look at one small ask that was just submitted, or at all that still wait; how many were granted."""
    return int(granting.consider(proposal_ref)) if proposal_ref else granting.consider_waiting()


@shared_task(name="proposals.search_files")
def search_files() -> int:
    """Look for names in files of blind calls that were handed in since; in how many."""
    return searching.search_waiting()
