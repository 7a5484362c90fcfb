"""What the portal's one Ed25519 key signs, and for what: a signature made for one purpose is none for another.

Under each signature lie the purpose, a zero byte, and the text's UTF-8 bytes. No purpose is the beginning of another
with its zero byte, and the texts are JSON, which holds none. The agent knows its two purposes itself
(`agent/trust.py`), because it imports nothing of the portal. Free of Django: the settings read the key with it.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "Ed25519"


class Purpose(StrEnum):
    """Written into what is signed. Whoever changes the form of a text raises its number."""

    COMMAND = "bitgoeul/command/1"
    STATEMENT = "bitgoeul/statement/1"
    HANDOVER = "bitgoeul/handover/1"
    SUCCESSION = "bitgoeul/succession/1"
    """The next public key in base64, signed by the key before it."""


@dataclass(frozen=True)
class EarlierKey:
    """A key that signs no more. `public`: raw, in base64; `endorsement`: its signature over the key that came next, in
    base64, empty where it is not to be believed any more: it may have been stolen.
    """

    public: str
    endorsement: str


def _message(purpose: Purpose, text: str) -> bytes:
    return purpose.encode() + b"\0" + text.encode()


@cache
def public_of(private: bytes) -> str:
    """The raw public half of a raw private key, in base64."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(private: bytes, purpose: Purpose, text: str) -> str:
    """The signature of a raw private key over a text for one purpose, in base64."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(private).sign(_message(purpose, text))).decode()


def fits(public: str, purpose: Purpose, text: str, value: str) -> bool:
    """Whether a signature is that of this public key over this text for this purpose. False for anything malformed."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(value, validate=True), _message(purpose, text))
    except (InvalidSignature, ValueError):  # binascii.Error is a ValueError; so is text that is not ASCII
        return False
    return True


def read_keys(words: Sequence[str]) -> tuple[bytes, tuple[EarlierKey, ...]]:
    """The private key and those before it, newest first, out of PRIVATE [PUBLIC:ENDORSEMENT | PUBLIC:] ….

    ValueError where a key is none, or an endorsement is not that key's over the one that came next.
    """
    private = base64.b64decode(words[0], validate=True)
    newer, earlier = public_of(private), []
    for word in words[1:]:
        said, _colon, endorsement = word.partition(":")
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(said, validate=True))
        public = base64.b64encode(key.public_bytes_raw()).decode()
        if endorsement and not fits(public, Purpose.SUCCESSION, newer, endorsement):
            raise ValueError(f"the endorsement of {public} is not over {newer}")
        earlier.append(EarlierKey(public, endorsement))
        newer = public
    return private, tuple(earlier)


def succeed(words: Sequence[str], successor: bytes, *, endorsed: bool) -> list[str]:
    """The words of `read_keys` with a raw private key in front and the one that was there as the newest earlier one."""
    private, _earlier = read_keys(words)
    endorsement = sign(private, Purpose.SUCCESSION, public_of(successor)) if endorsed else ""
    return [base64.b64encode(successor).decode(), f"{public_of(private)}:{endorsement}", *words[1:]]
