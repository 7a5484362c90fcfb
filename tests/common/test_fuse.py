"""A server that hangs is asked once; then pages and verbs do without it for some seconds."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.cache import caches

from common.cache import FUSE
from common.nudge import nudge


@dataclass
class Hung:
    """A server that takes connections and never says a word, as one behind a broken network seems to."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    taken: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"


@pytest.fixture
def hung(settings: Any) -> Iterator[Hung]:
    server = Hung()
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.url}}
    yield server
    server.listener.close()
    for connection in server.taken:
        connection.close()
    FUSE.mend()


def test_a_hung_broker_is_asked_once(hung: Hung) -> None:
    assert [nudge("allocations.reconcile_lease", "lease-22222222") for _turn in range(5)] == [False] * 5
    assert len(hung.taken) == 1 and FUSE.blown
    FUSE.mend()  # the control: without the fuse it is asked again
    nudge("allocations.reconcile_lease", "lease-22222222")
    assert len(hung.taken) == 2


def test_a_hung_cache_is_asked_once_and_reads_as_empty(hung: Hung) -> None:
    cache = caches["default"]
    assert [cache.get("key", "nothing") for _turn in range(5)] == ["nothing"] * 5
    assert cache.add("key", 1) is True
    assert len(hung.taken) == 1 and FUSE.blown


def test_a_nudge_reaches_a_broker_that_answers() -> None:
    assert nudge("portal.worker_heartbeat") is True
    assert not FUSE.blown
