"""The folder that Django's file mail backend writes into, read back as messages."""

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

_LINE = b"-" * 79 + b"\n"  # what django.core.mail.backends.filebased puts between messages


@dataclass(frozen=True)
class DemoMail:
    """One mail. `key` names it in an address."""

    key: str
    at: datetime
    to: str
    subject: str
    body: str


def read_mailbox(folder: Path, limit: int = 200) -> list[DemoMail]:
    """The newest mails first; an empty list where nothing was sent yet."""
    mails = []
    for path in sorted(folder.glob("*.log"), reverse=True)[:limit]:
        for number, text in enumerate(path.read_bytes().split(_LINE)):
            if text.strip():
                mails.append(_parse(f"{path.name}-{number}", text))
    return sorted(mails, key=lambda mail: mail.at, reverse=True)[:limit]


def _parse(name: str, text: bytes) -> DemoMail:
    # As bytes: of a str the parser makes escapes of every letter that is not ASCII.
    message = email.message_from_bytes(text, policy=email.policy.default)
    at = parsedate_to_datetime(str(message["Date"]))
    return DemoMail(
        key=sha256(name.encode()).hexdigest()[:16],
        at=at if at.tzinfo else at.replace(tzinfo=UTC),  # "-0000", as Django writes it, is UTC of no place
        to=str(message["To"]),
        subject=str(message["Subject"]).strip(),
        body=str(message.get_content()),
    )
