"""Real processes of the current user: found by a marker in their environment or by PID, and ended for certain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.host.base import Ended

LEASE_MARKER = "BITGOEUL_LEASE"
NODE_MARKER = "BITGOEUL_NODE"
GRACE_SECONDS = 2.0
LIMIT_SECONDS = 10.0
TURN_SECONDS = 0.05


@dataclass(frozen=True)
class Seen:
    """A living process of the current user; `started` (clock ticks since boot) tells it from a later one of its PID."""

    pid: int
    parent: int = field(compare=False)  # changes when the parent dies
    started: int


def look(pid: int) -> Seen | None:
    """The process, where it lives (a zombie does not) and is the current user's."""
    try:
        folder = Path(f"/proc/{pid}")
        if folder.stat().st_uid != os.getuid():
            return None
        words = (folder / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if words[0] in (b"Z", b"X"):
        return None
    return Seen(pid, int(words[1]), int(words[19]))


def all_of_user() -> list[Seen]:
    """Every living process of the current user."""
    found = (look(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [seen for seen in found if seen is not None]


def _file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _marks(pid: int) -> dict[bytes, bytes]:
    words = _file(pid, "environ").split(b"\0")
    pairs = (word.partition(b"=") for word in words if word.startswith(b"BITGOEUL_"))
    return {name: value for name, _, value in pairs}


def protected() -> set[int]:
    """Ourselves and our ancestors: never to be ended, whatever marker they carry."""
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        seen = look(pid)
        pid = seen.parent if seen else 0
    return pids


def is_simulator_server(pid: int) -> bool:
    """Whether a process is the simulated driver itself."""
    words = _file(pid, "cmdline").split(b"\0")
    return b"serve" in words and b"simulator" in words


def mark_of(node: str, folder: Path) -> str:
    """What a tenant's process is known by: the node, and the folder of its agent. Names of nodes are unique in one
    portal, not on a machine on which two portals' sandboxes run.
    """
    return f"{node}@{folder.resolve()}"


def of_lease(lease: str | None, node: str) -> set[Seen]:
    """Processes that carry the lease's marker (any lease's, with None), and all their descendants.

    Several nodes may share a machine in the sandbox, and one lease may span them: another node's are left out. `node`:
    as `mark_of` gives it.
    """
    everything = all_of_user()
    found = set()
    for seen in everything:
        marks = _marks(seen.pid)
        mark = marks.get(LEASE_MARKER.encode())
        ours = marks.get(NODE_MARKER.encode(), node.encode()) == node.encode()
        if mark and ours and (lease is None or mark == lease.encode()):
            found.add(seen)
    pids = {seen.pid for seen in found}
    while more := {seen for seen in everything if seen.parent in pids and seen.pid not in pids}:
        found |= more
        pids |= {seen.pid for seen in more}
    return found


def _send(seen: Seen, number: int) -> bool:
    """Signal exactly this process: the descriptor holds on to it while its start time is compared."""
    try:
        descriptor = os.pidfd_open(seen.pid)
    except OSError:
        return False
    try:
        if look(seen.pid) != seen:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def end(find: Callable[[], Iterable[Seen]]) -> Ended:
    """SIGTERM, a grace, SIGKILL, and again for what came meanwhile, until nothing is found or the limit is over."""
    spared = protected()
    started = time.monotonic()
    asked: set[Seen] = set()
    while True:
        left = {seen for seen in find() if seen.pid not in spared and not is_simulator_server(seen.pid)}
        waited = time.monotonic() - started
        if not left or waited > LIMIT_SECONDS:
            return Ended(len(asked - left), tuple(sorted(seen.pid for seen in left)))
        for seen in left:
            if waited > GRACE_SECONDS:
                _send(seen, signal.SIGKILL)
            elif seen not in asked:
                _send(seen, signal.SIGTERM)
                _send(seen, signal.SIGCONT)  # a stopped process takes no SIGTERM
            asked.add(seen)
        time.sleep(TURN_SECONDS)
