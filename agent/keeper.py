"""Heartbeat, dead-man timer and the watch over the SSH door: needs no broker, and no portal to end access."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading

from agent.dead_man import DeadMan
from agent.executor import Executor
from agent.host.choose import make_door, make_host
from agent.journal import Journal
from agent.options import AgentOptions
from agent.portal_client import PortalClient
from agent.pulse import Pulse

log = logging.getLogger(__name__)
THREAD_STOP_SECONDS = 3.0
BEAT_SECONDS = 5.0


def run(options: AgentOptions) -> int:
    """Until SIGTERM; then what must not outlive the agent is ended: all of it in the sandbox, nothing on Linux."""
    return asyncio.run(_keep(options))


async def _keep(options: AgentOptions) -> int:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    journal = Journal(options.state)
    host = make_host(options, journal)
    portal = PortalClient(options.portal, options.token_file)
    executor = Executor(journal, host, portal)
    dead_man = DeadMan(journal, executor, portal)
    pulse = Pulse(journal, host, portal, executor, options.heartbeat_seconds)
    door = make_door(options, journal, host)
    stop = threading.Event()
    # First of all, and before the door opens: what became overdue while no agent ran is ended.
    threads = [threading.Thread(target=dead_man.watch, args=(stop,), name="dead-man", daemon=True)]
    threads[0].start()
    await door.start()
    watch = asyncio.create_task(door.watch())
    beat = asyncio.create_task(_beat(options, threads[0]))
    threads += [
        threading.Thread(target=dead_man.tell, args=(stop,), name="tell", daemon=True),
        threading.Thread(target=pulse.beat, args=(stop,), name="pulse", daemon=True),
    ]
    for thread in threads[1:]:
        thread.start()
    await asked.wait()
    stop.set()
    watch.cancel()
    beat.cancel()
    await door.stop()
    ended = await asyncio.to_thread(host.agent_stops)
    log.info("stopping: ended %s processes, remaining %s", ended.killed, list(ended.remaining))
    for thread in threads:
        await asyncio.to_thread(thread.join, THREAD_STOP_SECONDS)
    portal.close()
    return 0


async def _beat(options: AgentOptions, dead_man: threading.Thread) -> None:
    """Show the supervisor that the loop goes round and that the dead-man timer lives; without it we are replaced."""
    while dead_man.is_alive():
        options.beat_file("keeper").touch()
        await asyncio.sleep(BEAT_SECONDS)
    log.error("the dead-man timer has ended")
