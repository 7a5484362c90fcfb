"""The portal's node API over HTTP. The agent calls, the portal never does."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_SECONDS = 10.0


class PortalError(Exception):
    """A call failed. `final`: the portal understood and will never take it, so that trying again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


FINAL_STATUS = frozenset({400, 404, 409, 410, 413, 422})


class PortalClient:
    """Calls under <portal>/api/node/v1/. Safe from several threads; not across a fork."""

    def __init__(self, portal: str, token_file: Path) -> None:
        self._token_file = token_file
        self._client = httpx.Client(base_url=f"{portal}/api/node/v1/", timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def hello(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say what this node is; the portal's keys and clock."""
        return self._call("POST", "hello/", body)

    def heartbeat(self, body: dict[str, Any]) -> dict[str, Any]:
        """A sign of life; what there is to do."""
        return self._call("POST", "heartbeat/", body)

    def command(self, command_id: str) -> dict[str, Any]:
        """One signed command."""
        return self._call("GET", f"commands/{command_id}/")

    def result(self, command_id: str, body: dict[str, Any]) -> None:
        """The answer to a command; a repeat is welcome."""
        self._call("POST", f"commands/{command_id}/result/", body)

    def report(self, body: dict[str, Any]) -> None:
        """The dead-man timer has acted."""
        self._call("POST", "reports/", body)

    def events(self, events: list[dict[str, Any]]) -> None:
        """XIDs and the like, at most 200."""
        self._call("POST", "events/", {"events": events})

    def samples(self, packed: bytes) -> None:
        """A batch as gzipped JSON."""
        self._send("POST", "samples/", packed, {"Content-Encoding": "gzip"})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = self._send(method, path, content, {}).json()
        return answer

    def _send(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> httpx.Response:
        try:
            token = self._token_file.read_text().strip()
            said = {"Authorization": f"Node {token}", "Content-Type": "application/json", **headers}
            answer = self._client.request(method, path, content=content, headers=said)
        except (httpx.HTTPError, OSError) as error:
            raise PortalError(f"{method} {path}: {type(error).__name__} {error}") from error
        if answer.is_success:
            return answer
        raise PortalError(
            f"{method} {path}: {answer.status_code} {answer.text[:300]}", final=answer.status_code in FINAL_STATUS
        )


def pack(body: dict[str, Any]) -> bytes:
    """A samples body as it goes over the wire."""
    return gzip.compress(json.dumps(body, separators=(",", ":")).encode())
