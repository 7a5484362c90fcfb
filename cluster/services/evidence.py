"""Evidence that can be shown to others: digests in the audit chain, documents signed by the portal."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

from audit.models import AuditEvent
from cluster.models import Handover
from cluster.services.signing import is_ours, public_key, signature
from common.signatures import ALGORITHM, Purpose, fits

VERBS = {"start": ("command.verify",), "end": ("command.reclaim", "command.reshape")}
"""The audit events that hold the digests, by the moment of the evidence."""


class NotGenuine(Exception):
    """A document that is not, or is no longer, what the portal wrote; the message says what is wrong."""


def canonical(document: Any) -> str:
    """The one text of a document: sorted keys, no spaces, characters as they are. It is what is signed and hashed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, cls=DjangoJSONEncoder)


def entry_of(handover: Handover) -> dict[str, Any]:
    """What a document says of one handover; `handover.device` is loaded."""
    return {
        "lease": handover.lease_ref,
        "device": handover.device.uuid,
        "moment": handover.moment,
        "generation": handover.generation,
        "taken_at": handover.taken_at.isoformat(),
        "passed": handover.passed,
        "checks": handover.checks,
        "reading": handover.reading,
        "actions": handover.actions,
    }


def digest(entry: dict[str, Any]) -> str:
    """SHA-256 of an entry's canonical text, in hex."""
    return hashlib.sha256(canonical(entry).encode()).hexdigest()


def digests(handovers: list[Handover]) -> dict[str, str]:
    """{device UUID: digest}, for the audit event of the node's answer: from there they are part of the chain."""
    return {handover.device.uuid: digest(entry_of(handover)) for handover in handovers}


def sign(document: dict[str, Any]) -> dict[str, Any]:
    """{"document", "signature": {"algorithm", "purpose", "public_key", "value"}}; keys and values in base64."""
    value = signature(Purpose.HANDOVER, canonical(document))
    return {"document": document, "signature": seal(Purpose.HANDOVER, public_key(), value)}


def seal(purpose: Purpose, public: str, value: str) -> dict[str, str]:
    """What a signed file says of its signature: it is over the purpose, a zero byte and the canonical text."""
    return {"algorithm": ALGORITHM, "purpose": purpose.value, "public_key": public, "value": value}


def verify(signed: Any) -> int:
    """How many entries of a signed document were held against the audit log; NotGenuine says what is wrong with it."""
    document = _signed_by_us(signed)
    entries = list(_entries(document))
    for entry in entries:
        answers = AuditEvent.objects.filter(
            verb__in=VERBS[entry["moment"]], changes__lease=entry["lease"], changes__generation=entry["generation"]
        )
        if digest(entry) not in {event.changes.get("evidence", {}).get(entry["device"]) for event in answers}:
            words = {"device": entry["device"], "moment": entry["moment"]}
            raise NotGenuine(_("the evidence of %(device)s (%(moment)s) is not the one in the audit log") % words)
    return len(entries)


def _signed_by_us(signed: Any) -> dict[str, Any]:
    try:
        document, said = signed["document"], signed["signature"]
        named, offered, value = (str(said[name]) for name in ("algorithm", "public_key", "value"))
    except (KeyError, TypeError):
        raise NotGenuine(_("this is no signed handover sheet")) from None
    if named != ALGORITHM or not is_ours(offered):
        raise NotGenuine(_("it was signed with another key than this portal's"))
    if not fits(offered, Purpose.HANDOVER, canonical(document), value):
        raise NotGenuine(_("the signature does not fit: the document was altered"))
    return dict(document)


def _entries(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for device in document["devices"]:
        for moment in VERBS:
            if device[moment] is not None:
                yield device[moment]
