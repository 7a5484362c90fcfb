"""The proposal's table."""

from common.lifecycle import Lifecycle

_OPEN = ("draft", "submitted", "in_review", "returned")

PROPOSAL = Lifecycle(
    noun="proposal",
    initial="draft",
    table={
        ("draft", "submit"): "submitted",
        ("returned", "submit"): "submitted",
        ("submitted", "start_review"): "in_review",
        ("submitted", "return"): "returned",
        ("in_review", "return"): "returned",
        ("submitted", "award"): "awarded",
        ("in_review", "award"): "awarded",
        ("submitted", "decline"): "declined",
        ("in_review", "decline"): "declined",
        **{(state, "withdraw"): "withdrawn" for state in _OPEN},
        ("awarded", "accept"): "accepted",
        ("awarded", "refuse"): "refused",
    },
)
