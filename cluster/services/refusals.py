"""What was refused of the calls to the node API, counted by node, code and day, for operators to see."""

from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from cluster.models import Node, NodeRefusal

KEEP = timedelta(days=90)
FLOODS = frozenset({"throttled", "authentication_failed"})
"""What anybody can cause as often as they like: written down at most every ten seconds, as so many at once."""
WRITE_EVERY_SECONDS, WAIT_SECONDS = 10, 86_400


def count(*, node: Node | None, code: str, detail: str = "", times: int = 1) -> None:
    """Count refusals. Those of a flood are gathered in the cache first: its last seconds may go uncounted."""
    code = code[:40]
    if code in FLOODS:
        times = _gathered(f"refused:{node.pk if node else 0}:{code}", times)
    if times > 0:
        _write(node, code, detail[:200], times, timezone.now())


def _gathered(key: str, times: int) -> int:
    """How many to write now, with those that waited; 0 where somebody wrote a moment ago. All, without a cache."""
    try:
        cache.add(key, 0, WAIT_SECONDS)
        waiting = cache.incr(key, times)
        if waiting is None:
            return times
        if not cache.add(f"{key}:written", 1, WRITE_EVERY_SECONDS):
            return 0
        cache.decr(key, waiting)
        return int(waiting)
    except ValueError:  # it ran out between the two calls
        return times


@transaction.atomic
def _write(node: Node | None, code: str, detail: str, times: int, now: datetime) -> None:
    row, _is_new = NodeRefusal.objects.get_or_create(
        node=node, code=code, day=timezone.localdate(now), defaults={"last_at": now}
    )
    NodeRefusal.objects.filter(pk=row.pk).update(times=F("times") + times, last_at=now, detail=detail)


def tidy(now: datetime) -> int:
    """Forget what was counted three months ago; rows gone."""
    gone, _by_model = NodeRefusal.objects.filter(day__lt=timezone.localdate(now - KEEP)).delete()
    return gone
