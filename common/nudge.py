"""Celery as a nudge: rows are the truth, a message only saves time."""

import logging
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def nudge(task: str, *args: Any, queue: str = "portal", expires_seconds: int = 30) -> bool:
    """Ask a worker to do now what the next tick would do anyway; False (and a log line) when the broker is away.

    Call it through transaction.on_commit: the worker must see the rows.
    """
    try:
        current_app.send_task(task, args=args, queue=queue, expires=expires_seconds, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker away, %s waits for the next tick: %s", task, error)
        return False
    return True
