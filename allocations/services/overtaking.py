"""A change of GPUs moves: one step of its table, written down; and what becomes of it when its lease ends first."""

from datetime import datetime
from typing import Any

from allocations.lifecycle import RESHAPE
from allocations.models import Lease, Reshape
from audit import services as audit


def move_reshape(reshape: Reshape, event: str, *, actor: Any, fields: tuple[str, ...] = (), **changes: Any) -> None:
    """One transition: next state from the table, the row saved, one audit row about the lease."""
    before = reshape.state
    reshape.state = RESHAPE.next(reshape.state, event)
    reshape.save(update_fields=["state", *fields])
    audit.record(
        actor=actor,
        verb=f"lease.{reshape.kind}.{event}",
        target=reshape.lease,
        changes={"change": reshape.public_id, "state": [before, reshape.state], **changes},
    )


def overtake(lease: Lease, now: datetime, *, actor: Any) -> None:
    """The lease is being taken back: what its change had not brought to an end is taken back with everything else."""
    for reshape in lease.reshapes.under_way().select_for_update(of=("self",), no_key=True):
        reshape.ended_at = now
        move_reshape(reshape, "overtake", actor=actor, fields=("ended_at",))
