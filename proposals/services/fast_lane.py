"""Small asks take the fast lane of their call from their submission on."""

from collections.abc import Iterable
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


def enter_many(asks: Iterable[tuple[Proposal, int]]) -> None:
    """The same for new proposals with the device-seconds that each asks for, in one statement.

    Those that are granted at once wait for the beat, which looks every half minute. The caller's transaction.
    """
    outcomes = {
        Call.FastLane.AUTOMATIC.value: FastLane.Outcome.WAITING,
        Call.FastLane.OFFICER.value: FastLane.Outcome.OFFICER,
    }
    found = ((proposal, outcomes.get(lane_of(proposal.call, seconds))) for proposal, seconds in asks)
    FastLane.objects.bulk_create(
        FastLane(proposal=proposal, version=proposal.version, outcome=outcome)
        for proposal, outcome in found
        if outcome is not None
    )
