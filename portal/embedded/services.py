"""Both servers together, as one context manager."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from portal.embedded.lock import FolderLock
from portal.embedded.ports import Memory
from portal.embedded.postgres import Postgres
from portal.embedded.valkey import Valkey


class EmbeddedServices:
    """`with EmbeddedServices(folder) as services:` gives services.database_url and services.redis_url.

    folder: where data, logs and passwords live; the same folder gives the same data and, while the ports are free,
        the same URLs. One supervisor at a time.
    fast: no durability, for tests.
    environment: DATABASE_URL and REDIS_URL in it win over our own servers; os.environ by default.

    Call `tend()` from a loop to restart a server that died. Raises EmbeddedError, one line for a person.
    The servers die with the thread that started them.
    """

    def __init__(self, folder: Path | str, *, fast: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self.folder = Path(folder).resolve()
        given = os.environ if environment is None else environment
        self.database_url = given.get("DATABASE_URL", "")
        self.redis_url = given.get("REDIS_URL", "")
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        self._fast = fast
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as exits:
            exits.enter_context(FolderLock(self.folder / "embedded.lock", what="a supervisor of embedded services"))
            memory = Memory(self.folder / "embedded.json")
            if not self.database_url:
                self.postgres = Postgres(self.folder, memory, fast=self._fast)
                exits.callback(self.postgres.stop)
                self.postgres.start()
                self.database_url = self.postgres.url
            if not self.redis_url:
                self.valkey = Valkey(self.folder, memory, fast=self._fast)
                exits.callback(self.valkey.stop)
                self.valkey.start()
                self.redis_url = self.valkey.url
            self._exits = exits.pop_all()
        return self

    def tend(self) -> list[str]:
        """Restart what died; the names of what was restarted. Never waits for a back-off, so call it again."""
        restarted = []
        for name, server in (("postgres", self.postgres), ("valkey", self.valkey)):
            child = server.child if server else None
            if server is None or child is None or not child.restart_due():
                continue
            server.restart()
            if server.child is not None:
                server.child.continue_backoff_of(child)
            restarted.append(name)
        return restarted

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()
