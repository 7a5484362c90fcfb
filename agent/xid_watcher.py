"""A thread that waits for XID events and hands each to a callback, whatever becomes of the devices meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from agent import nvml
from agent.device_records import NvmlError, XidEvent

WAIT_MS = 500  # how soon the thread notices that it shall stop
REBUILD_SECONDS = 1.0  # rest after a failure before the set is made anew: never a busy loop on a lost device


class XidWatcher:
    """Watches devices for XIDs until stopped. One lost device makes the event set fail for all: it is made anew."""

    def __init__(self, uuids: Sequence[str], report: Callable[[XidEvent], None]) -> None:
        """`report` is called in the watcher's thread."""
        self.uuids = tuple(uuids)
        self._report = report
        self._stop = threading.Event()
        self.watching = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xid-watcher", daemon=True)

    def start(self) -> None:
        """Begin; `watching` is set once events are registered."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread for at most a few waits' time."""
        self._stop.set()
        self._thread.join(timeout=WAIT_MS / 1000 * 4)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except NvmlError:
                self._stop.wait(REBUILD_SECONDS)

    def _watch(self) -> None:
        source = nvml.XidSource(self.uuids)
        self.watching.set()
        try:
            while not self._stop.is_set():
                event = source.wait(WAIT_MS)
                if event is not None:
                    self._report(event)
        finally:
            source.close()
