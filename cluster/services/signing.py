"""Commands carry a signature that nodes check with the public half, so that a stolen broker can order nothing."""

import json
from typing import Any

from django.conf import settings

from cluster.models import NodeCommand
from common import signatures
from common.signatures import Purpose


def public_key() -> str:
    """The raw public key in base64; kept with what was signed, it names the key."""
    return signatures.public_of(settings.NODE_SIGNING_KEY)


def is_ours(public: str) -> bool:
    """Whether a public key (raw, in base64) is this portal's or was it earlier."""
    return public == public_key() or public in {key.public for key in settings.EARLIER_SIGNING_KEYS}


def succession() -> list[dict[str, str]]:
    """How nodes get from a key that they have pinned to the one of now: [{key, signature}], newest first.

    `signature` is over the key that came next. It ends before the first key that is not to be believed any more.
    """
    steps: list[dict[str, str]] = []
    for key in settings.EARLIER_SIGNING_KEYS:
        if not key.endorsement:
            break
        steps.append({"key": key.public, "signature": key.endorsement})
    return steps


def signature(purpose: Purpose, text: str) -> str:
    """The portal's Ed25519 signature over a text for one purpose, in base64."""
    return signatures.sign(settings.NODE_SIGNING_KEY, purpose, text)


def envelope(command: NodeCommand) -> dict[str, str]:
    """{"command": canonical JSON, "signature": the portal's over it, in base64}; `command.node` is loaded."""
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
    return {"command": text, "signature": signature(Purpose.COMMAND, text)}
