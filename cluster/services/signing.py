"""Commands carry a signature that nodes check with the public half, so that a stolen broker can order nothing."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from cluster.models import NodeCommand


@cache
def _key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(settings.NODE_SIGNING_KEY)


def public_key() -> str:
    """The raw public key in base64."""
    return base64.b64encode(_key().public_key().public_bytes_raw()).decode()


def signature(text: str) -> str:
    """The portal's Ed25519 signature over a text's UTF-8 bytes, in base64."""
    return base64.b64encode(_key().sign(text.encode())).decode()


def envelope(command: NodeCommand) -> dict[str, str]:
    """{"command": canonical JSON, "signature": base64 Ed25519 over its UTF-8 bytes}; `command.node` is loaded."""
    body: dict[str, Any] = {
        "id": command.public_id,
        "node": command.node.name,
        "verb": command.verb,
        "lease": command.lease_ref,
        "generation": command.generation,
        "issued_at": command.created_at.isoformat(),
        "deadline_at": command.deadline_at.isoformat(),
        "payload": command.payload,
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return {"command": text, "signature": signature(text)}
