"""The tables of a proposal, of a decision that is prepared for it, and of a change to what was awarded."""

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

STEP = Lifecycle(
    noun="step",
    initial="waiting",
    table={
        ("waiting", "open"): "open",
        ("open", "pass"): "passed",
        ("open", "fail"): "failed",
        ("open", "return"): "returned",
        ("passed", "reopen"): "open",
        ("failed", "reopen"): "open",
        ("open", "shelve"): "waiting",
    },
)
"""A step of one version of a proposal. `shelve`: an earlier step was opened again."""

ASSIGNMENT = Lifecycle(
    noun="assignment",
    initial="proposed",
    table={
        ("proposed", "send"): "sent",
        ("sent", "clear"): "open",
        ("sent", "conflict"): "conflicted",
        ("open", "conflict"): "conflicted",
        ("done", "conflict"): "conflicted",
        ("conflicted", "waive"): "open",
        ("open", "finish"): "done",
        ("done", "reopen"): "open",
        ("proposed", "remove"): "removed",
        ("sent", "remove"): "removed",
        ("open", "remove"): "removed",
        ("conflicted", "remove"): "removed",
        ("done", "remove"): "removed",
        ("removed", "propose"): "proposed",
    },
)
"""Who reviews what: nothing opens before the reviewer has declared."""

REVIEW = Lifecycle(
    noun="review",
    initial="draft",
    table={("draft", "submit"): "submitted", ("submitted", "reopen"): "draft"},
)
PREPARED = Lifecycle(
    noun="prepared decision",
    initial="prepared",
    table={
        ("prepared", "edit"): "prepared",
        ("approved", "edit"): "prepared",
        ("prepared", "approve"): "approved",
        ("prepared", "release"): "released",
        ("approved", "release"): "released",
        ("prepared", "discard"): "discarded",
        ("approved", "discard"): "discarded",
    },
)

CHANGE = Lifecycle(
    noun="change request",
    initial="asked",
    table={
        ("asked", "approve"): "approved",
        ("asked", "grant"): "granted",
        ("approved", "grant"): "granted",
        ("asked", "decline"): "declined",
        ("approved", "decline"): "declined",
        ("asked", "withdraw"): "withdrawn",
        ("approved", "withdraw"): "withdrawn",
    },
)
