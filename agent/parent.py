"""Life and death with the parent process, and one way to log."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Ask for SIGTERM when process `parent` goes; ends at once where it has gone already."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)  # between fork and exec nothing else is safe


class StopSignal:
    """SIGTERM and SIGINT as something to wait for.

    No threading.Event: a handler that sets one while the same thread is inside its `wait` waits for itself for ever.
    """

    def __init__(self) -> None:
        """Take the two signals over. To be made in the main thread."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def wait(self, seconds: float) -> bool:
        """Wait for a signal for so long at most; whether there has been one."""
        if not self.asked:
            select.select([self._reader], [], [], max(0.0, seconds))
        return self.asked

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:  # asked a thousand times already
            pass


def log_to_stderr(part: str) -> None:
    """One line an event, with the part's name."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {part} %(levelname)s %(message)s", force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
