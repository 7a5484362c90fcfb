"""Which asks are small enough for the fast lane of their call."""

from proposals.models import Call, FastLane, Proposal


def lane_of(call: Call, gpu_seconds: int) -> str:
    """off, officer or automatic (Call.FastLane): how an ask of so many device-seconds in all is decided."""
    small = 0 < gpu_seconds <= call.fast_lane_gpu_seconds
    return call.fast_lane if small else Call.FastLane.OFF.value


def skips_review(proposal: Proposal) -> bool:
    """Whether an officer may decide without the review steps of the call: one query.

    What was not granted at once goes the ordinary way, steps included.
    """
    row = FastLane.objects.filter(proposal=proposal, version=proposal.version).first()
    return row is not None and row.outcome != FastLane.Outcome.ORDINARY
