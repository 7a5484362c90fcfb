"""The agent's side of the root part's socket. What may be asked: agent/privileged/requests.py."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from agent.host.base import HostError

ANSWER_SECONDS = 90.0  # ending a lease takes up to ten, the tools of a system under load their time
MAX_ANSWER_BYTES = 1_000_000


class RootPart:
    """One connection a question; safe from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Let root do it; HostError with root's code where it was refused, `root_part_away` where nobody answers."""
        try:
            said = json.loads(self._exchange(json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n"))
        except (OSError, ValueError) as error:
            raise HostError("root_part_away") from error
        if "done" not in said:
            raise HostError(str(said.get("error", "root_part_failed")))
        done: dict[str, Any] = said["done"]
        return done

    def _exchange(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self._path))
            connection.sendall(request)
            answer = b""
            while len(answer) < MAX_ANSWER_BYTES and (more := connection.recv(65_536)):
                answer += more
        return answer
