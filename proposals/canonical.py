"""Content as bytes that are always the same, so that a hash says whether two contents are."""

import hashlib
import json
from typing import Any


def canonical(content: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def fingerprint(content: Any) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(canonical(content)).hexdigest()
