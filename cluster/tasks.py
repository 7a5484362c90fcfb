"""Beat's door to the machines."""

from celery import shared_task
from django.utils import timezone

from cluster.services import commands, nodes, refusals


@shared_task(name="cluster.watch_nodes")
def watch_nodes() -> None:
    """Notice silent nodes and commands that nobody answered."""
    nodes.watch_nodes(timezone.now())
    commands.expire_late(timezone.now())


@shared_task(name="cluster.tidy")
def tidy() -> None:
    """Forget old counts of refused calls."""
    refusals.tidy(timezone.now())
