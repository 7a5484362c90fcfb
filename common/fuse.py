"""A server that hangs costs one wait, not one a call."""

import time


class Fuse:
    """After a failure it stays blown for some seconds, in which callers do without the server at once."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._until = 0.0

    @property
    def blown(self) -> bool:
        """Whether the server was away a moment ago."""
        return time.monotonic() < self._until

    def blow(self) -> None:
        """Note a failure."""
        self._until = time.monotonic() + self._seconds

    def mend(self) -> None:
        """Forget it."""
        self._until = 0.0
