"""What every decision has in common: the state moves, a row says why, a letter goes out, the partner is told."""

from typing import Any

from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken
from common.texts import composed
from notifications.services import notify
from partners.selectors import managers_of
from partners.services.strangers import check_stranger as check_stranger
from proposals.lifecycle import PROPOSAL
from proposals.models import Decision, Proposal
from proposals.services.drafting import told

MOST_REASON = 4_000
PARTNERS_OWN = ("appeal",)  # of the events that pass through `move`; all others are the agency's answers


def needed(reason: str, message: str = "") -> str:
    """The reason, composed and without surrounding blanks; RuleBroken where there is none or it is too long."""
    reason = composed(reason).strip()
    if not reason:
        raise RuleBroken(
            message or _("A reason is needed."),
            remedy=_("The partner reads it, so say what decided it."),
            code="reason_needed",
            field="reason",
        )
    return bounded(reason)


def bounded(reason: str) -> str:
    """The reason, composed; RuleBroken where it is too long."""
    reason = composed(reason).strip()
    if len(reason) > MOST_REASON:
        raise RuleBroken(
            _("This text has %(count)s characters; at most %(most)s are possible.")
            % {"count": len(reason), "most": MOST_REASON},
            code="text_too_long",
            field="reason",
        )
    return reason


def person(actor: Any) -> Any:
    """The actor as a row may name them: None for the portal itself."""
    return actor if getattr(actor, "pk", None) else None


def lock(proposal: Proposal) -> Proposal:
    """The row, locked, with what its letters and notices name."""
    return (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "agreement", "call", "created_by")
        .get(pk=proposal.pk)
    )


def move(actor: Any, proposal: Proposal, event: str, changes: dict[str, Any]) -> Proposal:
    """Lock it, ask the table, write the next state and the audit row.

    InvalidTransition; RuleBroken (`own_organisation`) where the agency's answer would be that of one of the partner's.
    """
    proposal = lock(proposal)
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, event)
    if event not in PARTNERS_OWN:
        check_stranger(actor, proposal.organisation)
    proposal.save(update_fields=["state"])
    record(
        actor=actor, verb=f"proposal.{event}", target=proposal, changes={"state": [before, proposal.state], **changes}
    )
    return proposal


def written(actor: Any, proposal: Proposal, kind: str, reason: str, **more: Any) -> Decision:
    """The row of a decision."""
    return Decision.objects.create(proposal=proposal, kind=kind, reason=reason, decided_by=person(actor), **more)


def tell_partner(proposal: Proposal, event: str, *, url: str = "", **more: Any) -> None:
    """The organisation's managers and whoever wrote the proposal."""
    recipients = [*managers_of(proposal.organisation), proposal.created_by]
    notify(recipients=recipients, event=event, context=told(proposal, **more), url=url or proposal.get_absolute_url())
