"""The tables of allocation, lease, adjustment and wait-list entry."""

from common.lifecycle import Lifecycle

ALLOCATION = Lifecycle(
    noun="allocation",
    initial="pending",
    table={
        ("pending", "activate"): "active",
        ("active", "suspend"): "suspended",
        ("suspended", "resume"): "active",
        ("active", "exhaust"): "exhausted",
        ("exhausted", "replenish"): "active",
        ("active", "expire"): "expired",
        ("suspended", "expire"): "expired",
        ("exhausted", "expire"): "expired",
        ("active", "close"): "closed",
        ("suspended", "close"): "closed",
        ("exhausted", "close"): "closed",
        ("pending", "close"): "closed",
    },
)

LEASE = Lifecycle(
    noun="reservation",
    initial="scheduled",
    other_initials=("offered",),
    table={
        ("offered", "accept"): "scheduled",
        ("offered", "decline"): "cancelled",
        ("offered", "lapse"): "cancelled",
        ("offered", "withdraw"): "cancelled",
        ("scheduled", "cancel"): "cancelled",
        ("scheduled", "prepare"): "preparing",
        ("scheduled", "fail"): "failed",
        ("preparing", "hand_over"): "active",
        ("preparing", "fail"): "failed",
        ("preparing", "release"): "draining",
        ("preparing", "expire"): "draining",
        ("preparing", "stick"): "prepare_stuck",
        ("prepare_stuck", "hand_over"): "active",
        ("prepare_stuck", "fail"): "failed",
        ("prepare_stuck", "release"): "draining",
        ("prepare_stuck", "expire"): "draining",
        ("active", "release"): "draining",
        ("active", "expire"): "draining",
        ("draining", "revoked"): "reclaiming",
        ("draining", "stick"): "reclaim_stuck",
        ("reclaiming", "stick"): "reclaim_stuck",
        ("reclaim_stuck", "revoked"): "reclaiming",
        ("reclaim_stuck", "cleaned"): "ended",
        ("reclaiming", "cleaned"): "ended",
    },
)

RESHAPE = Lifecycle(
    noun="change of GPUs",
    initial="checking",
    table={
        ("checking", "checked"): "fitting",
        ("checking", "undo"): "undone",
        ("checking", "overtake"): "overtaken",
        ("fitting", "fitted"): "cleaning",
        ("fitting", "stick"): "fitting_stuck",
        ("fitting", "overtake"): "overtaken",
        ("fitting_stuck", "fitted"): "cleaning",
        ("fitting_stuck", "overtake"): "overtaken",
        ("cleaning", "cleaned"): "done",
        ("cleaning", "stick"): "cleaning_stuck",
        ("cleaning", "overtake"): "overtaken",
        ("cleaning_stuck", "cleaned"): "done",
        ("cleaning_stuck", "overtake"): "overtaken",
    },
)

RESHAPING = ("checking", "fitting", "fitting_stuck", "cleaning", "cleaning_stuck")
"""States in which a change of GPUs is under way: a lease has one at a time."""

ADJUSTMENT = Lifecycle(
    noun="adjustment",
    initial="proposed",
    table={
        ("proposed", "confirm"): "confirmed",
        ("proposed", "reject"): "rejected",
        ("proposed", "withdraw"): "withdrawn",
    },
)

HELD = ("offered", "scheduled", "preparing", "prepare_stuck", "active", "draining", "reclaiming", "reclaim_stuck")
"""States in which a lease keeps its devices."""

COMING = ("offered", "scheduled")
"""Of these, those that have not begun: nobody has access yet, and their placements may be moved or dropped."""

LEASE_OVER = ("ended", "cancelled", "failed")
"""States in which a lease has no device any more."""

OPEN = ("pending", "active", "suspended", "exhausted")
"""States of an allocation whose GPUs at once are still promised."""

BOOKABLE = ("pending", "active")
"""States of an allocation of which reservations can be booked, within its days: also before they begin."""

OVER = ("expired", "closed")
"""States of an allocation of which nothing more can be booked: what is left unused is written off."""

WAIT = Lifecycle(
    noun="wait-list entry",
    initial="waiting",
    table={
        ("waiting", "offer"): "offered",
        ("offered", "accept"): "served",
        ("offered", "decline"): "waiting",
        ("offered", "lapse"): "waiting",
        ("offered", "withdraw"): "waiting",
        ("waiting", "leave"): "left",
        ("offered", "leave"): "left",
        ("waiting", "expire"): "expired",
        ("waiting", "drop"): "dropped",
        ("offered", "drop"): "dropped",
    },
)

ON_THE_LIST = ("waiting", "offered")
"""States of an entry that is not over: an allocation has one such entry at most."""
