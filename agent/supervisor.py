"""Starts the parts of the agent as processes of their own and starts again what ends: none takes another with it."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from agent.options import PARTS, AgentOptions
from agent.parent import die_with_parent

log = logging.getLogger(__name__)
FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 0.5, 30.0
STEADY_SECONDS = 20.0  # a part that lived this long starts again without delay
STOP_SECONDS = {"worker": 2.0}  # with no broker it hangs in its reconnecting; a command cut short is done again
LONGEST_STOP_SECONDS = 8.0
TURN_SECONDS = 0.25


@dataclass
class Part:
    """One child process, and when it may start next (monotonic seconds)."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_start_at: float = 0.0
    delay_seconds: float = field(default=0.0)

    def start(self, options: AgentOptions) -> None:
        """Start it, bound to this process."""
        parent = os.getpid()
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", *options.arguments(self.name)],
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509  # this process has one thread
        )

    def restart_due(self, options: AgentOptions) -> None:
        """Start it again where it has ended and has waited its time."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            lived = now - self.started_at
            doubled = min(LAST_DELAY_SECONDS, max(FIRST_DELAY_SECONDS, self.delay_seconds * 2))
            self.delay_seconds = 0.0 if lived > STEADY_SECONDS else doubled
            log.warning("%s ended with %s; again in %.1f s", self.name, self.process.returncode, self.delay_seconds)
            self.process, self.next_start_at = None, now + self.delay_seconds
        if self.process is None and now >= self.next_start_at:
            self.start(options)


def run(options: AgentOptions) -> int:
    """Until SIGTERM. One agent a folder: a second one ends at once."""
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(options.state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another agent works in {options.sandbox}.", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = [Part(name) for name in PARTS]
    while not stop.is_set():
        for part in parts:
            part.restart_due(options)
        stop.wait(TURN_SECONDS)
    _stop(parts)
    return 0


def _stop(parts: list[Part]) -> None:
    running = [(part.name, part.process) for part in parts if part.process is not None]
    for _, process in running:
        if process.poll() is None:
            process.terminate()
    started = time.monotonic()
    for name, process in sorted(running, key=lambda pair: STOP_SECONDS.get(pair[0], LONGEST_STOP_SECONDS)):
        until = started + STOP_SECONDS.get(name, LONGEST_STOP_SECONDS)
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop in time and was killed", name)
            process.kill()
            process.wait()
