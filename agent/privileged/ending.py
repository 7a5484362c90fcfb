"""The end of everything that a lease's user runs: asked first, then killed, then looked for until none is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.privileged.groups import kill, members

GRACE_SECONDS = 2.0
LIMIT_SECONDS = 10.0
TURN_SECONDS = 0.05
CHILD_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """How many processes are gone, and which PIDs are not."""

    killed: int
    remaining: tuple[int, ...]


@dataclass(frozen=True)
class Process:
    """A living process; `started` (clock ticks since boot) tells it from a later one with its PID."""

    pid: int
    started: int
    uids: frozenset[int] = field(compare=False)


def look(pid: int) -> Process | None:
    """The process, where it lives; a zombie does not."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    if not words or words[0] in (b"Z", b"X"):
        return None
    said = next((line for line in lines if line.startswith("Uid:")), "Uid:")
    return Process(pid, int(words[19]), frozenset(int(word) for word in said.split()[1:]))


def everybody() -> list[Process]:
    """Every living process of the machine, as far as /proc shows."""
    found = (look(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [process for process in found if process is not None]


def of_user(uid: int, folders: list[Path]) -> set[Process]:
    """Who has the uid in any of its four roles (a setuid program keeps the real one), and who is in its groups."""
    inside = members(folders)
    return {process for process in everybody() if uid in process.uids or process.pid in inside}


def holders(devices: Collection[Path]) -> set[Process]:
    """Who has one of the device nodes open or mapped. Nodes lie in a folder of root's alone: their names suffice."""
    wanted = {str(device) for device in devices}
    return {process for process in everybody() if wanted & _open_files(process.pid)} if wanted else set()


def _open_files(pid: int) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208  # a number is all that is wanted
            with suppress(OSError):
                found.add(str(Path(f"/proc/{pid}/fd/{name}").readlink()))
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
        found.update(words[5] for line in lines if len(words := line.split(maxsplit=5)) == 6)
    return found


def end(uid: int, folders: list[Path], strangers: Callable[[], set[Process]]) -> Ended:
    """SIGTERM, a grace, SIGKILL, and again for who came meanwhile, until nobody is left or the limit is over.

    `strangers` finds others who must be gone and are not ours to kill, such as a neighbour who was handed an open
    device: as long as there are any, they stand in `remaining`.
    """
    return _end(lambda: of_user(uid, folders), lambda: _kill_group(uid, folders), strangers)


def end_on(uid: int, folders: list[Path], devices: Collection[Path], strangers: Callable[[], set[Process]]) -> Ended:
    """The same for those alone of the user's processes that have one of these device nodes open or mapped."""
    return _end(lambda: of_user(uid, folders) & holders(devices), lambda: None, strangers)


def _end(
    find: Callable[[], set[Process]], kill_at_once: Callable[[], None], strangers: Callable[[], set[Process]]
) -> Ended:
    started, asked = time.monotonic(), set[Process]()
    while True:
        left = find()
        waited = time.monotonic() - started
        others = strangers() if not left else set()
        if waited > LIMIT_SECONDS or not (left or others):
            return Ended(len(asked - left), tuple(sorted({process.pid for process in left | others})))
        if left and waited > GRACE_SECONDS:
            kill_at_once()
        for process in left:
            if waited > GRACE_SECONDS:
                _send(process, signal.SIGKILL)
            elif process not in asked:
                _send(process, signal.SIGTERM)
                _send(process, signal.SIGCONT)  # a stopped process takes no SIGTERM
        asked |= left
        time.sleep(TURN_SECONDS)


def _kill_group(uid: int, folders: list[Path]) -> None:
    kill(folders)
    _kill_all_of(uid)


def _kill_all_of(uid: int) -> None:
    """SIGKILL to every process of a user in one call of the kernel: no fork is faster, as it could be than a list."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)  # all that this uid may signal, but for the caller itself
        finally:
            os._exit(0)
    until = time.monotonic() + CHILD_SECONDS  # a process of theirs that stops everybody may have stopped the child too
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)  # ours until it is waited for: no other process can have its PID
            os.waitpid(child, 0)
            return
        time.sleep(TURN_SECONDS / 10)


def _send(process: Process, number: int) -> None:
    """Signal exactly this process: the descriptor holds on to it while its start time is compared."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if look(process.pid) == process:
            signal.pidfd_send_signal(descriptor, number)
    except OSError:
        pass
    finally:
        os.close(descriptor)
