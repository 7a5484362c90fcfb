"""Which key of the portal's is believed, and what it may be believed about."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

COMMAND, SUCCESSION = b"bitgoeul/command/1\0", b"bitgoeul/succession/1\0"
"""What lies before the text under a signature. The portal signs statements and handover sheets with the same key, and
with other words before them: none of those is a command.
"""


def fits(key: str, purpose: bytes, text: str, signature: str) -> bool:
    """Whether a signature is that of a key over a text for a purpose; key and signature in base64."""
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public.verify(base64.b64decode(signature, validate=True), purpose + text.encode())
    except (InvalidSignature, TypeError, ValueError):  # binascii.Error is a ValueError
        return False
    return True


def leads_to(pinned: str, offered: str, steps: list[dict[str, Any]]) -> bool:
    """Whether the pinned key vouches for the offered one: each step's key has signed the one after it, newest first."""
    newer = offered
    for step in steps:
        if not fits(str(step["key"]), SUCCESSION, newer, str(step["signature"])):
            return False
        newer = str(step["key"])
        if newer == pinned:
            return True
    return False
