"""record(): one row per change, in the change's own transaction; seal(): into the chain, seconds later."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.utils.translation import gettext as _

from audit.models import AuditEvent, AuditSeal
from common.advisory import alone
from common.inserting import insert

GENESIS = "0" * 64
SEAL_LOCK = 0x6269_7467_0001  # pg advisory lock of the sealing job
BATCH = 5_000


def record(*, actor: Any, verb: str, target: models.Model, changes: dict[str, Any] | None = None) -> AuditEvent:
    """Write what `actor` did to `target` (any model with a public_id; else its primary key is named).

    Must run inside the transaction of the change, so that neither is ever there without the other.
    """
    assert connection.in_atomic_block, "audit.record belongs in the transaction of the change"
    event = AuditEvent(
        actor_id=getattr(actor, "public_id", ""),
        actor_label=actor.label,
        verb=verb,
        target_type=target._meta.model_name or "",
        target_id=getattr(target, "public_id", None) or str(target.pk),
        changes=json.loads(json.dumps(changes or {}, cls=DjangoJSONEncoder)),
    )
    insert(event)
    return event


def record_many(*, actor: Any, verb: str, changed: Iterable[tuple[models.Model, dict[str, Any]]]) -> None:
    """One row an object, as `record` writes it, in one statement; `changed` are (target, changes)."""
    assert connection.in_atomic_block, "audit.record_many belongs in the transaction of the change"
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor_id=getattr(actor, "public_id", ""),
            actor_label=actor.label,
            verb=verb,
            target_type=target._meta.model_name or "",
            target_id=getattr(target, "public_id", None) or str(target.pk),
            changes=json.loads(json.dumps(changes, cls=DjangoJSONEncoder)),
        )
        for target, changes in changed
    )


def digest(previous: str, event: AuditEvent) -> str:
    """SHA-256 over the previous digest and the event's canonical JSON."""
    body = {
        "id": event.pk,
        "at": event.at.isoformat(),
        "actor": [event.actor_id, event.actor_label],
        "verb": event.verb,
        "target": [event.target_type, event.target_id],
        "changes": event.changes,
    }
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


@transaction.atomic
def seal() -> int:
    """Append every committed, unsealed event to the chain, oldest first; the number sealed.

    One sealer at a time (advisory lock); verbs never wait for it. An event whose transaction commits late simply
    gets a later position: the chain orders by sealing, not by id.
    """
    if not alone(SEAL_LOCK):
        return 0
    last = AuditSeal.objects.order_by("-position").first()
    position, previous = (last.position, last.digest) if last else (0, GENESIS)
    seals = []
    for event in AuditEvent.objects.filter(seal=None).order_by("id")[:BATCH]:
        position += 1
        previous = digest(previous, event)
        seals.append(AuditSeal(position=position, event=event, digest=previous))
    AuditSeal.objects.bulk_create(seals, batch_size=1_000)
    return len(seals)


@dataclass(frozen=True)
class Verdict:
    """What verify() found: `broken` names the first broken row, None when the chain is whole."""

    checked: int
    unsealed: int
    broken: str | None


def verify() -> Verdict:
    """Recompute the whole chain; reads, never writes."""
    previous, checked = GENESIS, 0
    rows = AuditSeal.objects.select_related("event").order_by("position").iterator(chunk_size=2_000)
    for expected, row in enumerate(rows, start=1):
        if row.position != expected:
            return Verdict(checked, 0, _("seal %(position)d is missing") % {"position": expected})
        previous_digest = digest(previous, row.event)
        if row.digest != previous_digest:
            where = {"event": row.event_id, "position": row.position}
            return Verdict(checked, 0, _("event %(event)d at position %(position)d was altered") % where)
        previous, checked = row.digest, checked + 1
    return Verdict(checked, AuditEvent.objects.filter(seal=None).count(), None)
