"""Doors for beat and for finished commands."""

from celery import shared_task
from django.utils import timezone

from allocations.services import reconcile
from allocations.services.usage import deciding, learning, revising
from common import heartbeat


@shared_task(name="allocations.reconcile_tick")
def reconcile_tick() -> None:
    """Everything that is due."""
    reconcile.tick()
    heartbeat.beat(heartbeat.RECONCILER)  # after the tick: a tick that fails must not look alive


@shared_task(name="allocations.reconcile_lease")
def reconcile_lease(lease_ref: str) -> None:
    """One lease, because something about it has just changed."""
    reconcile.reconcile_lease(lease_ref)


@shared_task(name="allocations.decide_usage")
def decide_usage() -> None:
    """What the hours that are over were, and whether those before them still look so."""
    now = timezone.now()
    deciding.decide(now)
    revising.revise(now)


@shared_task(name="allocations.learn_idle_power")
def learn_idle_power() -> None:
    """What GPUs draw that nobody has."""
    learning.learn_idle_power(timezone.now())
