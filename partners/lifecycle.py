"""The tables of an agreement and of its amendments."""

from common.lifecycle import Lifecycle

AGREEMENT = Lifecycle(
    noun="agreement",
    initial="draft",
    table={
        ("draft", "activate"): "active",
        ("active", "suspend"): "suspended",
        ("suspended", "resume"): "active",
        ("active", "lapse"): "lapsed",
        ("suspended", "lapse"): "lapsed",
        ("active", "terminate"): "terminated",
        ("suspended", "terminate"): "terminated",
    },
)

AMENDMENT = Lifecycle(
    noun="amendment",
    initial="draft",
    table={
        ("draft", "agree"): "agreed",
        ("agreed", "take_effect"): "in_force",
        ("draft", "withdraw"): "withdrawn",
        ("agreed", "withdraw"): "withdrawn",
    },
)
