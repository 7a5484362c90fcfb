"""What was made of what was lent. Every held second is exactly one of seven things (`UsageClass`)."""

from allocations.selectors.usage.adding import daily, decided_until, idlest, sums, sums_by
from allocations.selectors.usage.figures import UsageSums
from allocations.selectors.usage.minutes import LeaseUse, UsageMinute, minutes, provisional, use_of
from allocations.selectors.usage.since import use_since

__all__ = [
    "LeaseUse",
    "UsageMinute",
    "UsageSums",
    "daily",
    "decided_until",
    "idlest",
    "minutes",
    "provisional",
    "sums",
    "sums_by",
    "use_of",
    "use_since",
]
