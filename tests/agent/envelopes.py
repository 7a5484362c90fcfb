"""Signed commands for tests, in the portal's wire form."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.signatures import Purpose, public_of, sign

NODE = f"gpu-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
"""One a test process: in the sandbox a node ends every process of the machine that carries its mark."""


def iso(epoch: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(epoch, UTC).isoformat()


def body(verb: str, **changes: Any) -> dict[str, Any]:
    """A command; `device_uuids`, `leaving`, `login` and `hard_end` (epoch) go into its payload."""
    payload = {
        "device_uuids": changes.pop("device_uuids", []),
        "leaving": changes.pop("leaving", []),
        "login": changes.pop("login", "bg-test"),
        "starts_at": iso(time.time()),
        "hard_end": iso(changes.pop("hard_end", time.time() + 3600)),
    }
    return {
        "id": f"CMD-{verb}-{changes.get('generation', 1)}",
        "node": NODE,
        "verb": verb,
        "lease": "L-1",
        "generation": 1,
        "issued_at": iso(time.time()),
        "deadline_at": iso(changes.pop("deadline_at", time.time() + 60)),
        "payload": payload,
        **changes,
    }


def seal(key: Ed25519PrivateKey, said: dict[str, Any], purpose: Purpose = Purpose.COMMAND) -> dict[str, str]:
    """The signed envelope, as the portal signs for this purpose."""
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return {"command": text, "signature": sign(key.private_bytes_raw(), purpose, text)}


def public(key: Ed25519PrivateKey) -> str:
    """The pinned form of the key."""
    return public_of(key.private_bytes_raw())
