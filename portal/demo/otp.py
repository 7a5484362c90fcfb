"""The current one-time code of a demo account (RFC 6238: SHA-1, six digits, 30 seconds)."""

import base64
import time

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

PERIOD_SECONDS = 30


def current_code(secret: str, *, at: float | None = None) -> str:
    """Six digits for the base32 `secret`, valid around `at` (seconds since the epoch; default now)."""
    key = base64.b32decode(secret, casefold=True)
    totp = TOTP(key, 6, SHA1(), PERIOD_SECONDS, enforce_key_length=False)  # noqa: S303 - the standard's hash
    return totp.generate(int(at if at is not None else time.time())).decode()
