"""The demo's secrets: made once, kept in one file of mode 0600."""

import base64
import json
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def make_signing_key() -> str:
    """NODE_SIGNING_KEY: the 32 raw bytes of an Ed25519 private key in base64."""
    key = Ed25519PrivateKey.generate()
    return base64.b64encode(key.private_bytes_raw()).decode()


def make_ssh_ca_key() -> str:
    """SSH_CA_KEY: an unencrypted OpenSSH Ed25519 private key, whole, in base64 (one line, fit for a variable)."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return base64.b64encode(text).decode()


def make_secrets() -> dict[str, str]:
    """SECRET_KEY, NODE_SIGNING_KEY, SSH_CA_KEY and METRICS_TOKEN, as environment variables want them."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "NODE_SIGNING_KEY": make_signing_key(),
        "SSH_CA_KEY": make_ssh_ca_key(),
        "METRICS_TOKEN": secrets.token_urlsafe(24),
    }


def keep_secrets(path: Path) -> dict[str, str]:
    """The secrets of `path`; what is missing is made and written."""
    try:
        kept: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        kept = {}
    complete = {**make_secrets(), **kept}
    if complete != kept:
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(complete, file, indent=1)
        temporary.replace(path)
    return complete
