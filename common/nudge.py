"""Celery as a nudge: rows are the truth, a message only saves time."""

import logging
from contextlib import suppress
from typing import Any

import redis
from celery import current_app
from django_redis import get_redis_connection
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

AWAY = (redis.RedisError, OperationalError, OSError)


def nudge(task: str, *args: Any, queue: str = "portal", expires_seconds: int = 30) -> bool:
    """Ask a worker to do now what the next tick would do anyway; False (and a log line) when the broker is away.

    Call it through transaction.on_commit: the worker must see the rows. Broker and cache are one server, and its fuse
    (common.cache) is asked first: Celery's own connection waits for a server that hangs as long as a worker may wait
    for messages, which is no time for somebody in front of a page.
    """
    try:
        get_redis_connection("default").ping()
        _send(task, args, queue, expires_seconds)
    except AWAY as error:
        log.warning("broker away, %s waits for the next tick: %s", task, error)
        return False
    return True


def nudge_once(task: str, *, queue: str = "portal", expires_seconds: int = 30) -> bool:
    """The same for a task that looks at all that waits: nothing is sent while a nudge for it is in the queue.

    The task says `heard` before it looks. Many who write at a time then cost one message, not one each.
    """
    try:
        server, mark = get_redis_connection("default"), _mark(task)
        if server.set(mark, 1, nx=True, ex=expires_seconds):
            try:
                _send(task, (), queue, expires_seconds)
            except AWAY:
                server.delete(mark)
                raise
    except AWAY as error:
        log.warning("broker away, %s waits for the next tick: %s", task, error)
        return False
    return True


def heard(task: str) -> None:
    """The task begins: whoever writes from now on nudges anew."""
    with suppress(*AWAY):
        get_redis_connection("default").delete(_mark(task))


def _mark(task: str) -> str:
    return f"bitgoeul:nudged:{task}"


def _send(task: str, args: tuple[Any, ...], queue: str, expires_seconds: int) -> None:
    current_app.send_task(task, args=args, queue=queue, expires=expires_seconds, retry=False)
