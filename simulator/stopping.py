"""Being asked to stop."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


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
