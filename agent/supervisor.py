"""Starts the parts of the agent as processes of their own and starts again what ends: none takes another with it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

from agent.options import PARTS, AgentOptions
from agent.parent import StopSignal, die_with_parent

log = logging.getLogger(__name__)
FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 0.5, 30.0
STEADY_SECONDS = 20.0  # a part that lived this long starts again without delay
STILL_SECONDS = {"sampler": 90.0, "keeper": 60.0}
"""A part whose beat is older than this hangs as a whole and is replaced. The worker waits for the broker on purpose."""
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
    restarts: int = 0
    why: str = ""
    left_behind: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, options: AgentOptions) -> None:
        """Start it, bound to this process."""
        parent = os.getpid()
        self.started_at = time.monotonic()
        options.beat_file(self.name).unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", *options.arguments(self.name)],
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509  # this process has one thread
        )

    def give_up_when_still(self, options: AgentOptions) -> bool:
        """Kill it where it has not moved for too long, and do not wait: inside the driver even SIGKILL may have to."""
        limit, file = STILL_SECONDS.get(self.name), options.beat_file(self.name)
        if limit is None or self.process is None or not file.exists():
            return False
        if time.time() - file.stat().st_mtime <= limit:
            return False
        self.process.kill()
        self.left_behind = [process for process in self.left_behind if process.poll() is None]
        self.left_behind.append(self.process)
        self._ended("stood still", FIRST_DELAY_SECONDS)
        return True

    def restart_due(self, options: AgentOptions) -> bool:
        """Start it again where it has ended and has waited its time; whether it was found ended."""
        ended = self.process is not None and self.process.poll() is not None
        if ended and self.process is not None:
            lived = time.monotonic() - self.started_at
            doubled = min(LAST_DELAY_SECONDS, max(FIRST_DELAY_SECONDS, self.delay_seconds * 2))
            self._ended(f"ended with {self.process.returncode}", 0.0 if lived > STEADY_SECONDS else doubled)
        if self.process is None and time.monotonic() >= self.next_start_at:
            self.start(options)
        return ended

    def _ended(self, why: str, delay_seconds: float) -> None:
        log.warning("%s %s; again in %.1f s", self.name, why, delay_seconds)
        self.restarts, self.why, self.delay_seconds = self.restarts + 1, why, delay_seconds
        self.process, self.next_start_at = None, time.monotonic() + delay_seconds


def _note(parts: list[Part], options: AgentOptions) -> None:
    """Leave for the keeper, which tells the portal, how often each part had to be started again, and why the last."""
    said = {part.name: {"restarts": part.restarts, "why": part.why} for part in parts}
    draft = options.state / "parts.new"
    draft.write_text(json.dumps(said))
    draft.replace(options.state / "parts.json")


def run(options: AgentOptions) -> int:
    """Until SIGTERM. One agent a folder: a second one ends at once."""
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(options.state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another agent works in {options.state}.", file=sys.stderr)
        return 1
    stop = StopSignal()
    parts = [Part(name) for name in PARTS]
    _note(parts, options)
    while not stop.asked:
        changed = [part.give_up_when_still(options) or part.restart_due(options) for part in parts]
        if any(changed):
            _note(parts, options)
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
