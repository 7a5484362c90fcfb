"""Small asks take the fast lane of their call from their submission on."""

from functools import partial

from django.db import transaction

from common.nudge import nudge
from proposals.models import Call, FastLane, Proposal
from proposals.selectors.fast_lane import lane_of


def enter(proposal: Proposal, gpu_seconds: int) -> FastLane | None:
    """Note at its submission that a small ask takes the fast lane; None where it does not. The caller's transaction."""
    lane = lane_of(proposal.call, gpu_seconds)
    if lane == Call.FastLane.OFF:
        FastLane.objects.filter(proposal=proposal).delete()
        return None
    at_once = lane == Call.FastLane.AUTOMATIC
    outcome = FastLane.Outcome.WAITING if at_once else FastLane.Outcome.OFFICER
    row, _made = FastLane.objects.update_or_create(
        proposal=proposal,
        defaults={"version": proposal.version, "outcome": outcome, "code": "", "note_ko": "", "note_en": ""},
    )
    if at_once:
        transaction.on_commit(partial(nudge, "proposals.fast_lane", proposal.public_id))
    return row
