"""Moments: as the API takes them, and the hour and the day that one lies in."""

from datetime import UTC, date, datetime, tzinfo
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from common.midnights import midnight

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Years that something of ours may lie in: near the ends of the calendar, zones and sums overflow."""
_ZONES = {"Asia/Seoul": _("Asia/Seoul")}
"""Zones that people call otherwise than the tables do."""


class MomentField(serializers.DateTimeField):
    """A moment in UTC; years outside FIRST_YEAR to LAST_YEAR are refused before anything reckons with them.

    In UTC, because Python takes the difference of two moments of one zone from their clocks, whatever was done to them.
    """

    default_error_messages = {"year": _("Please give a year between {first} and {last}.")}

    def to_internal_value(self, value: Any) -> datetime:
        """400 in place of an OverflowError, which the year 1 in another zone would raise."""
        try:
            moment: datetime = super().to_internal_value(value)
        except (OverflowError, ValueError):
            self.fail("year", first=FIRST_YEAR, last=LAST_YEAR)
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            self.fail("year", first=FIRST_YEAR, last=LAST_YEAR)
        return moment.astimezone(UTC)


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour in which a moment lies."""
    return moment.replace(minute=0, second=0, microsecond=0)


def agency_day(moment: datetime) -> date:
    """The calendar day of a moment in the agency's own zone (TIME_ZONE), whatever the reader's."""
    return timezone.localtime(moment, timezone.get_default_timezone()).date()


def agency_today() -> date:
    """Today in the agency's own zone."""
    return agency_day(timezone.now())


def begin_of(day: date, zone: tzinfo | None = None) -> datetime:
    """Midnight, at which a day begins in the agency's own zone; in another for what was written under that one."""
    return midnight(day, zone or timezone.get_default_timezone())


def zone_words() -> str:
    """What the agency's zone is called, for people."""
    name = timezone.get_default_timezone_name()
    return str(_ZONES.get(name, name))
