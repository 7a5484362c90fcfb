"""What stands in an agreement, as a value: what a draft is made of, and what an amendment may change."""

from dataclasses import asdict, dataclass, field, fields
from datetime import date, timedelta
from typing import Any

from common.texts import one_line

MAX_GPU_SECONDS = 10**9 * 3600  # a thousand million GPU-hours: far above any agreement, far below a bigint
MAX_GPUS = 1_000_000
MAX_GRACE_DAYS = 365
ONE_LINE = ("number", "title", "agency_signatory", "partner_signatory")
"""What stands in the middle of other sentences: names and numbers, with nothing in them that turns or hides those."""


@dataclass(frozen=True)
class AgreementTerms:
    """`ceiling_gpu_seconds` are device-seconds, in all and (None: no such ceiling) of a calendar year; `valid_until` is
    a day that counts; `pools` are public ids, none: every pool of the GPU classes.
    """

    number: str
    title: str
    signed_on: date | None
    valid_from: date
    valid_until: date
    agency_signatory: str
    partner_signatory: str
    cooperation: list[str]
    ceiling_gpu_seconds: int
    ceiling_concurrent_gpus: int
    gpu_classes: list[str]
    ceiling_gpu_seconds_a_year: int | None = None
    pools: list[str] = field(default_factory=list)
    data_rules: str = ""
    credit_line: str = ""
    ending_rule: str = "own_end"
    ending_days: int = 0
    suspension_rule: str = "own_end"
    suspension_days: int = 0

    def __post_init__(self) -> None:
        for name in ONE_LINE:
            object.__setattr__(self, name, one_line(getattr(self, name)))

    def as_dict(self) -> dict[str, Any]:
        """By the names of the model's fields."""
        return asdict(self)


NAMES = tuple(one.name for one in fields(AgreementTerms))
FIXED = ("number", "signed_on", "valid_from", "agency_signatory", "partner_signatory")
AMENDABLE = tuple(name for name in NAMES if name not in FIXED)
"""What an amendment may change."""


def terms_of(agreement: Any) -> AgreementTerms:
    """What stands in an agreement now."""
    return AgreementTerms(**{name: getattr(agreement, name) for name in NAMES})


def plain(name: str, value: Any) -> Any:
    """A term as JSON keeps it."""
    return value.isoformat() if isinstance(value, date) else value


def typed(name: str, value: Any) -> Any:
    """A term as it came from JSON, as the model takes it."""
    return date.fromisoformat(value) if name == "valid_until" else value


def following_term(agreement: Any) -> tuple[date, date]:
    """First and last day of a term as long as the agreement's, right after it: whole years stay whole years."""
    first = agreement.valid_until + timedelta(days=1)
    begun = agreement.valid_from
    if (first.month, first.day) != (begun.month, begun.day) or (first.month, first.day) == (2, 29):
        return first, first + (agreement.valid_until - begun)
    return first, first.replace(year=first.year + first.year - begun.year) - timedelta(days=1)
