"""Loopback ports, and the little that the folder remembers about its servers."""

import json
import os
import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Can a server listen on this loopback port now?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Memory:
    """Passwords and ports in one file of mode 0600, so that a second start gives the same URLs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._values: dict[str, str | int] = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            self._values = {}

    def password(self, name: str) -> str:
        """The password kept under `name`; made at the first call."""
        if name not in self._values:
            self._keep(name, secrets.token_urlsafe(24))
        return str(self._values[name])

    def knows(self, name: str) -> bool:
        return name in self._values

    def port(self, name: str, *, fresh: bool = False) -> int:
        """The port kept under `name` when it is free, else (or when `fresh`) another, kept from now on."""
        kept = self._values.get(name)
        if kept is None or fresh or not is_free(int(kept)):
            kept = free_port()
            self._keep(name, kept)
        return int(kept)

    def _keep(self, name: str, value: str | int) -> None:
        self._values[name] = value
        temporary = self.path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._values, file)
        temporary.replace(self.path)
