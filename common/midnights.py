"""When a day begins. Free of Django, for arithmetic without settings; `common.moments` knows the agency's zone."""

from datetime import date, datetime, time, tzinfo


def midnight(day: date, zone: tzinfo) -> datetime:
    """The beginning of a day of a zone, in that zone."""
    return datetime.combine(day, time.min, zone)
