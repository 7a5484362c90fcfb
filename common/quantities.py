"""Stored whole seconds, shown hours. Integers in the database, Decimal on the page."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

HOUR_SECONDS = 3600


def seconds_to_hours(seconds: int) -> Decimal:
    """Hours with two digits, rounded half up."""
    return (Decimal(seconds) / HOUR_SECONDS).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def hours_to_seconds(hours: Decimal | int) -> int:
    """Whole seconds of a number of hours."""
    return int((Decimal(hours) * HOUR_SECONDS).to_integral_value(rounding=ROUND_HALF_UP))


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds, rounded down: a begun second is not charged."""
    return int((end - start).total_seconds() // 1)


def whole_seconds(duration: timedelta) -> int:
    """A duration as whole seconds, rounded up, so that nothing held is free."""
    return -int(-duration.total_seconds() // 1)
