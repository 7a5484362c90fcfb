"""The Celery worker on the node's own queue: a nudge carries an id, the command itself comes from the portal."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

from agent.commands import CommandRefused
from agent.executor import Executor
from agent.host.choose import make_host
from agent.journal import Journal
from agent.options import AgentOptions
from agent.parent import die_with_parent
from agent.portal_client import PortalClient, PortalError

log = logging.getLogger(__name__)
TASK = "agent.run_command"
WAIT_SECONDS = 0.5
TASK_LIMIT_SECONDS = 120


def build_app(options: AgentOptions) -> Celery:
    """The agent's own Celery app: JSON alone, no results, no remote control."""
    app = Celery("agent", broker=options.redis_url, set_as_current=True)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_time_limit=TASK_LIMIT_SECONDS,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,  # a broker that was taken over must not steer the worker
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 2, "socket_keepalive": True, "health_check_interval": 25},
        timezone="UTC",
    )

    @app.task(name=TASK)  # type: ignore[untyped-decorator, unused-ignore]
    def run_command(command_id: str) -> None:
        """Fetch a command by its public id and run it. What fails here comes again with the heartbeat."""
        journal = Journal(options.state)
        portal = PortalClient(options.portal, options.token_file)
        try:
            Executor(journal, make_host(options, journal), portal).fetch_and_run(command_id)
        except (PortalError, CommandRefused) as error:
            log.warning("%s was not run: %s", command_id, error)
        finally:
            portal.close()

    return app


def _bind_child(**_: Any) -> None:
    die_with_parent(os.getppid())


def run(options: AgentOptions) -> int:
    """Wait for the keeper's first hello, which tells the node's name; then work on its queue until SIGTERM."""
    journal = Journal(options.state)
    while (node := journal.fact("node")) is None:
        time.sleep(WAIT_SECONDS)
    worker_process_init.connect(_bind_child, weak=False)
    app = build_app(options)
    app.worker_main(
        [
            *("worker", "--queues", f"node.{node}", "--hostname", f"agent@{node}", "--loglevel", "warning"),
            *("--pool", "prefork", "--concurrency", "1"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
    )
    return 0
