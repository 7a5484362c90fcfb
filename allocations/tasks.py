"""Doors for beat and for finished commands."""

from celery import shared_task

from allocations.services import reconcile


@shared_task(name="allocations.reconcile_tick")
def reconcile_tick() -> None:
    """Everything that is due."""
    reconcile.tick()


@shared_task(name="allocations.reconcile_lease")
def reconcile_lease(lease_ref: str) -> None:
    """One lease, because something about it has just changed."""
    reconcile.reconcile_lease(lease_ref)
