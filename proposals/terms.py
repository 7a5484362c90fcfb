"""The shape of what a call says: plain values that forms and API fill in, and that services check and write."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any

from django.db import models

from accounts.models import User
from cluster.models import Pool
from proposals.canonical import fingerprint

MAX_TITLE = 200
MAX_TEXT = 20_000
MAX_LABEL = 300
MAX_HELP = 1_000
MAX_ROWS = 50
MAX_HOURS = 1_000_000_000
MAX_CHOICES = 50


@dataclass(frozen=True)
class Offer:
    """A pool that a call offers. `budget_gpu_seconds` None: without a bound of its own."""

    pool: Pool
    budget_gpu_seconds: int | None = None


@dataclass(frozen=True)
class CriterionTerms:
    """What reviewers score."""

    label_ko: str
    label_en: str
    help_ko: str = ""
    help_en: str = ""
    weight: int = 1
    scale: int = 10
    comment_needed: bool = False


@dataclass(frozen=True)
class QuestionTerms:
    """What is asked beyond the common form; the choices of both languages go together one by one."""

    label_ko: str
    label_en: str
    kind: str
    help_ko: str = ""
    help_en: str = ""
    is_required: bool = False
    choices_ko: tuple[str, ...] = ()
    choices_en: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepTerms:
    """A step that the call takes; without a deadline while it has none."""

    kind: str
    owner: User | None = None
    due_at: datetime | None = None


@dataclass(frozen=True)
class DateTerms:
    """A day of the time line."""

    on: date
    label_ko: str
    label_en: str
    help_ko: str = ""
    help_en: str = ""


@dataclass(frozen=True)
class CallTerms:
    """What a call says. `closes_at` None: rolling. Empty lists and None: no condition. Amounts are device-seconds."""

    title_ko: str
    title_en: str
    text_ko: str = ""
    text_en: str = ""
    contact: str = ""
    closes_at: datetime | None = None
    answer_days: int = 14
    sizes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    most_years: int | None = None
    most_proposals: int | None = None
    smallest_gpu_seconds: int | None = None
    largest_gpu_seconds: int | None = None
    fast_lane: str = "off"
    fast_lane_gpu_seconds: int = 0
    held_back_percent: int = 0
    reviews_needed: int = 3
    blind: bool = False
    reviewers_see: str = "after_own"
    two_person_gpu_seconds: int | None = None
    offers: tuple[Offer, ...] = ()
    criteria: tuple[CriterionTerms, ...] = ()
    questions: tuple[QuestionTerms, ...] = ()
    steps: tuple[StepTerms, ...] = ()
    dates: tuple[DateTerms, ...] = ()

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools that are offered."""
        return tuple(offer.pool for offer in self.offers)


ROWS = ("offers", "criteria", "questions", "steps", "dates")
COLUMNS = tuple(field.name for field in fields(CallTerms) if field.name not in ROWS)
"""What stands in the call's own row; ROWS have tables of their own."""
SECTIONS: dict[str, tuple[str, ...]] = {
    "texts": ("title_ko", "title_en", "text_ko", "text_en", "contact"),
    "who": ("sizes", "regions", "most_years", "most_proposals"),
    "pools": ("smallest_gpu_seconds", "largest_gpu_seconds", "offers"),
    "criteria": ("criteria",),
    "questions": ("questions",),
    "steps": ("reviews_needed", "blind", "reviewers_see", "two_person_gpu_seconds", "steps"),
    "dates": ("closes_at", "answer_days", "dates"),
    "fast_lane": ("fast_lane", "fast_lane_gpu_seconds", "held_back_percent"),
}
"""Which page of the editor says what."""


def plain(value: Any) -> Any:
    """The same as what JSON can hold: public ids for objects, ISO for days and moments."""
    if isinstance(value, models.Model):
        return value.public_id  # type: ignore[attr-defined]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


def mark_of(terms: CallTerms, names: Iterable[str]) -> str:
    """A mark of what some parts say, as a form carries it: another mark later means that somebody changed them."""
    return fingerprint({name: plain(getattr(terms, name)) for name in names})[:20]


def row_values(row: Any) -> dict[str, Any]:
    """The columns of a row of terms, lists where the database has arrays."""
    found = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
