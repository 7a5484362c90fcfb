"""Nothing is left behind: what loses its parent below us becomes our child, and is reaped or ended here."""

import ctypes
import os
import signal

import psutil

from portal.embedded.process import PR_SET_PDEATHSIG

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """From now on, processes whose parent dies become children of this process instead of init's."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stop_with_parent() -> None:
    """From now on, the death of our parent is a SIGTERM to us."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def reap_orphans(own: set[int]) -> None:
    """Collect dead adopted children. `own`: PIDs that somebody else waits for."""
    for child in psutil.Process().children():
        try:
            if child.pid not in own and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
        except (psutil.Error, ChildProcessError):
            continue


def end_descendants(timeout_seconds: float) -> list[str]:
    """SIGTERM, then SIGKILL, everything below us; the names of what had to be ended."""
    left = psutil.Process().children(recursive=True)
    names = []
    for process in left:
        try:
            names.append(f"{process.name()} ({process.pid})")
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(left, timeout=timeout_seconds)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=timeout_seconds)
    return names
