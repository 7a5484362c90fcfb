"""Stretches of whole days in the reader's zone, as people ask for them."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone


def midnight(day: date) -> datetime:
    """The first moment of a day in the reader's zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


def month_of(day: date) -> tuple[date, date]:
    """The first day of its month, and of the next one."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def this_month() -> tuple[datetime, datetime]:
    """The month that it is for the reader."""
    first, after = month_of(timezone.localdate())
    return midnight(first), midnight(after)


def last_month() -> tuple[datetime, datetime]:
    """The month before that one."""
    first, after = month_of(month_of(timezone.localdate())[0] - timedelta(days=1))
    return midnight(first), midnight(after)
