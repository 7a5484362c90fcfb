"""A child that never outlives us: parent-death signal, own session, a record to find it by after a crash."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from portal.embedded.account import Account

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOG_LIMIT_BYTES = 20 * 1024 * 1024
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_LAST_SECONDS = 30.0
STEADY_SECONDS = 20.0  # a child that lived this long starts again without delay
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec


def die_with_parent(signal_number: int) -> Callable[[], None]:
    """A preexec_fn after which the child gets `signal_number` when the thread that started it ends.

    It runs after Popen's setuid, which would clear the setting (prctl(2)).
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return prepare


@dataclass(frozen=True)
class ChildSpec:
    """What to run. Times in seconds."""

    name: str
    command: Sequence[str]
    folder: Path
    """Log in folder/logs/<name>.log, record in folder/run/<name>.json."""
    environment: Mapping[str, str] | None = None
    working_folder: Path = Path("/")
    account: Account | None = None
    stop_signal: int = signal.SIGTERM
    stop_timeout_seconds: float = 10.0

    @property
    def log_path(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def record_path(self) -> Path:
        return self.folder / "run" / f"{self.name}.json"


@dataclass
class Child:
    """One running ChildSpec; `start`, `stop`, and `restart_due` for a supervisor's loop."""

    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)
    _started_at: float = field(default=0.0, init=False)
    _next_start_at: float = field(default=0.0, init=False)
    _delay_seconds: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start it, after ending what an earlier supervisor may have left of it."""
        spec = self.spec
        self.end_leftover()
        for path in (spec.log_path, spec.record_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if spec.log_path.exists() and spec.log_path.stat().st_size > LOG_LIMIT_BYTES:
            spec.log_path.replace(spec.log_path.with_suffix(".log.1"))
        account = spec.account
        with spec.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                list(spec.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=spec.working_folder,
                env=dict(spec.environment) if spec.environment is not None else None,
                start_new_session=True,  # the terminal's Ctrl-C reaches us alone; we stop children in order
                preexec_fn=die_with_parent(spec.stop_signal),  # noqa: PLW1509 - calls prctl and nothing else
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self._started_at = time.monotonic()
        _write_record(spec.record_path, self.process.pid)

    def end_leftover(self) -> None:
        """End what a supervisor before us recorded under this name, where it still lives."""
        end_leftover(self.spec.record_path, self.spec.stop_signal, self.spec.stop_timeout_seconds)

    def continue_backoff_of(self, earlier: "Child") -> None:
        """Take over the count and the delay of the child that this one replaces."""
        self.restarts = earlier.restarts
        self._delay_seconds = earlier._delay_seconds

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_text(self) -> str:
        """How it ended, in a word: `exit 3`, `SIGKILL`."""
        code = self.process.returncode if self.process else None
        if code is None:
            return "running"
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def restart_due(self) -> bool:
        """Is it dead, and has its back-off passed? Ends what is left of its session on the way."""
        if self.process is None or self.alive:
            return False
        now = time.monotonic()
        if self._next_start_at == 0.0:  # the first look since it died
            _kill_session(self.process.pid, since=0.0)
            if now - self._started_at >= STEADY_SECONDS:
                self._delay_seconds = 0.0
            self._next_start_at = now + self._delay_seconds
            self._delay_seconds = min(max(self._delay_seconds * 2, BACKOFF_FIRST_SECONDS), BACKOFF_LAST_SECONDS)
        if now < self._next_start_at:
            return False
        self._next_start_at = 0.0
        self.restarts += 1
        return True

    def ask_to_stop(self) -> None:
        """Send the stop signal; `finish` waits."""
        if self.process is not None and self.alive:
            self.process.send_signal(self.spec.stop_signal)

    def finish(self, deadline: float) -> None:
        """Wait until time.monotonic() passes `deadline`, then kill; the whole session is gone afterwards."""
        if self.process is None:
            return
        try:
            self.process.wait(max(deadline - time.monotonic(), 0.05))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _kill_session(self.process.pid, since=0.0)
        self.spec.record_path.unlink(missing_ok=True)
        self.process = None

    def stop(self) -> None:
        """Stop signal, time to obey, SIGKILL."""
        self.ask_to_stop()
        self.finish(time.monotonic() + self.spec.stop_timeout_seconds)

    def log_tail(self, lines: int = 3) -> str:
        """The last lines of its log, on one line."""
        try:
            text = self.spec.log_path.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _write_record(path: Path, pid: int) -> None:
    try:
        born = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it died at once
        born = time.time()
    path.write_text(json.dumps({"pid": pid, "create_time": born, "boot_id": _boot_id()}))


def _kill_session(session: int, *, since: float) -> None:
    """SIGKILL every process of a session whose leader is dead. Its number is not given out again while one lives."""
    for process in psutil.process_iter(["pid", "create_time"]):
        try:
            if os.getsid(process.pid) == session and process.create_time() >= since:
                process.kill()
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue


def end_leftover(record_path: Path, stop_signal: int, timeout_seconds: float) -> None:
    """End the process that an earlier supervisor recorded, where it still lives, and its session."""
    try:
        record = json.loads(record_path.read_text())
        pid, born = int(record["pid"]), float(record["create_time"])
        same_boot = record["boot_id"] == _boot_id()
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not same_boot:
        return
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - born) > 0.05:
            return  # the number went to somebody else
        if process.status() != psutil.STATUS_ZOMBIE:
            process.send_signal(stop_signal)
            process.wait(timeout_seconds)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    except psutil.NoSuchProcess:
        pass
    _kill_session(pid, since=born)
