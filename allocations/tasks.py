"""Doors for beat and for finished commands."""

from celery import shared_task

from allocations.services import reconcile
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
