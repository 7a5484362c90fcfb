"""A change of GPUs moves: one step of its table, written down; and what becomes of it when its lease ends first."""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from allocations.lifecycle import RESHAPE
from allocations.models import Lease, Reshape
from audit import services as audit
from common.errors import WrongState


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


def refuse_while_reshaping(lease: Lease) -> None:
    """WrongState while a change of its GPUs is under way."""
    if lease.reshapes.under_way().exists():
        raise WrongState(
            _("A change of the GPUs of this reservation is still under way."),
            code="reshape_under_way",
            remedy=_("Please wait until the nodes have confirmed it; the page of the reservation shows it."),
        )
