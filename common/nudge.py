"""Celery as a nudge: rows are the truth, a message only saves time."""

import logging
from typing import Any

import redis
from celery import current_app
from django_redis import get_redis_connection
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def nudge(task: str, *args: Any, queue: str = "portal", expires_seconds: int = 30) -> bool:
    """Ask a worker to do now what the next tick would do anyway; False (and a log line) when the broker is away.

    Call it through transaction.on_commit: the worker must see the rows. Broker and cache are one server, and its fuse
    (common.cache) is asked first: Celery's own connection waits for a server that hangs as long as a worker may wait
    for messages, which is no time for somebody in front of a page.
    """
    try:
        get_redis_connection("default").ping()
        current_app.send_task(task, args=args, queue=queue, expires=expires_seconds, retry=False)
    except (redis.RedisError, OperationalError, OSError) as error:
        log.warning("broker away, %s waits for the next tick: %s", task, error)
        return False
    return True
