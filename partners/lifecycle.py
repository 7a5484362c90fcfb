"""The agreement's table."""

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
