"""What officers say, for tests: through the verb, as they would."""

from datetime import datetime
from typing import Any

import pytest

from allocations.models import Allocation, Blackout, BookingRules
from allocations.selectors.rulebooks import rules_of
from allocations.services import booking
from allocations.services.rule_setting import announce_blackout, set_rules
from common.errors import DomainError
from tests.allocations.conftest import Stage


def subject_of(stage: Stage, scope: str, allocation: Allocation | None = None) -> Any:
    """The pool, the agreement or the allocation of the stage."""
    found = {"pool": stage.pool, "agreement": stage.cast.agreement, "allocation": allocation or stage.allocation}
    return found[scope]


def say(
    stage: Stage, scope: Any = "pool", *, allocation: Allocation | None = None, **values: int | None
) -> BookingRules:
    """An officer says these rules, whole."""
    subject = subject_of(stage, scope, allocation)
    return set_rules(
        actor=stage.cast.officer,
        scope=scope,
        subject=subject,
        values=values,
        version=rules_of(scope, subject).version,
        reason="as agreed",
    )


def black_out(stage: Stage, starts_at: datetime, ends_at: datetime, **fields: Any) -> Blackout:
    """An officer announces one for the stage's pool."""
    asked = {"pool": stage.pool, "reason_ko": "이전 작업", "reason_en": "the hall is moved"} | fields
    return announce_blackout(actor=stage.cast.officer, starts_at=starts_at, ends_at=ends_at, **asked)


def refused(code: str, call: Any, *args: Any, **kwargs: Any) -> DomainError:
    """The refusal, which has this code."""
    with pytest.raises(DomainError) as error:
        call(*args, **kwargs)
    assert error.value.code == code, str(error.value)
    return error.value


def book_at(stage: Stage, starts_at: datetime, ends_at: datetime, count: int = 1, **fields: Any) -> Any:
    """Book exactly this window."""
    asked = {"actor": stage.cast.owner, "allocation": stage.allocation, "device_count": count} | fields
    return booking.book(starts_at=starts_at, ends_at=ends_at, **asked)
