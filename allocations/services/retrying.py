"""Verbs anew when somebody else was quicker: nobody sees a deadlock, or that two of them wanted the same row."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext as _

from allocations.services.placing import LostRace
from common.errors import DomainError, RuleBroken

log = logging.getLogger(__name__)

TURNS = 8
PATIENT_TURNS = 2
"""So often a verb is run anew at once; then after a pause by lot, so that those who met do not meet again."""
PAUSE_SECONDS = 0.02
EXCLUSION, DEADLOCK, SERIALISATION = "23P01", "40P01", "40001"
AGAIN = (EXCLUSION, DEADLOCK, SERIALISATION)
T = TypeVar("T")
P = ParamSpec("P")


def code_of(error: DatabaseError) -> str:
    """PostgreSQL's code of what went wrong; "" where it did not say."""
    return getattr(error.__cause__, "pgcode", None) or ""


def busy() -> DomainError:
    """The refusal of a verb that was never quick enough, where there is nothing better to offer."""
    return RuleBroken(
        _("Bookings on these devices change faster than this could be done."),
        code="lost_race",
        remedy=_("Please try again."),
    )


def again_when_lost(verb: Callable[[], T], refusal: Callable[[], DomainError] = busy) -> T:
    """Run a verb anew, from its first lock, when somebody else was quicker; the refusal when that was so each time."""
    for turn in range(TURNS):
        try:
            return verb()
        except LostRace:
            log.info("a verb again after a lost race, turn %s", turn)
        except DatabaseError as error:
            if code_of(error) not in AGAIN:
                raise
        if PATIENT_TURNS <= turn < TURNS - 1 and not connection.in_atomic_block:
            time.sleep(random.uniform(0, PAUSE_SECONDS * 2 ** (turn - PATIENT_TURNS)))  # noqa: S311 (no secret)
    raise refusal()


def in_one_transaction(verb: Callable[[], T]) -> T:
    """All of it or nothing, anew when somebody was quicker."""

    def attempt() -> T:
        with transaction.atomic():
            return verb()

    return again_when_lost(attempt)


def retried(verb: Callable[P, T]) -> Callable[P, T]:
    """A verb that is one transaction, and is run anew when somebody was quicker."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        return in_one_transaction(lambda: verb(*args, **kwargs))

    return run
