"""The proposal's table."""

from common.lifecycle import Lifecycle

_OPEN = ("draft", "submitted", "in_review", "held", "returned")

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
        ("in_review", "hold"): "held",
        ("held", "resume"): "in_review",
        ("held", "award"): "awarded",
        ("held", "decline"): "declined",
        ("declined", "appeal"): "appealed",
        ("appealed", "dismiss"): "declined",
        ("appealed", "uphold"): "in_review",
        ("awarded", "accept"): "accepted",
        ("awarded", "refuse"): "refused",
        ("awarded", "expire"): "expired",
    },
)
