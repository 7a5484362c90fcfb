"""The number of a proposal: the year and a count, like 2026-0001."""

from datetime import datetime

from django.db import connection
from django.db.models import IntegerField, Max
from django.db.models.functions import Cast, Substr
from django.utils import timezone

from proposals.models import Proposal

NUMBER_LOCK = 0x6269_7467_0003  # pg advisory lock: one number is given at a time, until the transaction ends


def next_number(now: datetime) -> str:
    """The next free number of the year (agency's zone). The caller's transaction keeps everybody else waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NUMBER_LOCK])
    year = timezone.localtime(now, timezone.get_default_timezone()).year
    last = (
        Proposal.objects.filter(number__regex=rf"^{year}-\d{{4,9}}$")
        .annotate(serial=Cast(Substr("number", 6), IntegerField()))
        .aggregate(last=Max("serial"))["last"]
    )
    return f"{year}-{(last or 0) + 1:04d}"


def following(number: str) -> str:
    """The number after this one, for whoever holds the lock that `next_number` took."""
    year, _hyphen, serial = number.partition("-")
    return f"{year}-{int(serial) + 1:04d}" if serial else number
