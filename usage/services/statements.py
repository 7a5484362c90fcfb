"""A month is closed for every organisation, once: numbered, signed, chained. And the proof of all of it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import transaction
from django.utils.translation import gettext as _

from allocations.models import UsageDay, UsageMark
from allocations.selectors.usage import UsageSums
from allocations.services.usage.deciding import lock_days
from audit import services as audit
from audit.models import AuditEvent
from cluster.services.evidence import canonical
from cluster.services.signing import is_ours, public_key, signature
from common.errors import WrongState
from common.moments import agency_day, begin_of
from common.permissions import require
from common.signatures import Purpose, fits
from notifications.services import notify
from partners.models import Membership, Organisation
from usage.models import Statement
from usage.rules import may_close_months
from usage.selectors.statements import document, month_of, newest_correction, sums_of_month

SETTLING = timedelta(hours=24)
"""After the end of a month: what comes late has been corrected, a handover that took hours is decided."""


def close_due(*, actor: Any, now: datetime) -> int:
    """Close the month before this one for everybody, when it is settled; the statements made."""
    month = (agency_day(now).replace(day=1) - timedelta(days=1)).replace(day=1)
    if begin_of(agency_day(now).replace(day=1)) + SETTLING > now or not _is_settled(month):
        return 0
    return close_month(actor=actor, month=month, now=now)


def close_month(*, actor: Any, month: date, now: datetime) -> int:
    """Make the statement of every organisation that held anything in a month and has none; the statements made.

    Each in its own transaction: killed half-way, the next call goes on. WrongState before all of its hours are decided.
    """
    require(actor, may_close_months)
    first, last = month_of(month)
    if not _is_settled(first):
        raise WrongState(
            _("Not every hour of %(month)s is decided.") % {"month": f"{first:%Y-%m}"},
            code="month_not_decided",
            remedy=_("A month is closed one day after its end."),
        )
    held = UsageDay.objects.filter(day__gte=first, day__lte=last).order_by()
    organisations = Organisation.objects.filter(pk__in=held.values("lease__allocation__project__organisation")).exclude(
        statements__month=first
    )
    return sum(_close(actor, organisation.pk, first, now) for organisation in organisations.order_by("pk"))


def _is_settled(month: date) -> bool:
    until = begin_of(month_of(month)[1] + timedelta(days=1))
    marks = dict(UsageMark.objects.values_list("name", "done_until"))
    return all(name in marks and marks[name] >= until for name in ("decided", "revised"))


@transaction.atomic
def _close(actor: Any, organisation_id: int, month: date, now: datetime) -> int:
    lock_days()  # no correction comes between, and statements follow each other
    organisation = Organisation.objects.get(pk=organisation_id)
    if Statement.objects.filter(organisation=organisation, month=month).exists():
        return 0
    previous, known = Statement.objects.order_by("-id").first(), newest_correction()
    number = f"BG-{month:%Y-%m}-{Statement.objects.filter(month=month).count() + 1:04}"
    said = document(organisation, month, number=number, known=known, now=now, previous=previous)
    text = canonical(said)
    made = Statement.objects.create(
        number=number,
        organisation=organisation,
        month=month,
        text=text,
        sha256=_sha256(text),
        previous_sha256=previous.sha256 if previous else "",
        signature=signature(Purpose.STATEMENT, text),
        public_key=public_key(),
        held_seconds=said["totals"]["held_seconds"],
        used_seconds=said["totals"]["used_seconds"],
        idle_seconds=said["totals"]["idle_seconds"] + said["totals"]["parked_seconds"],
        last_correction=known,
        closed_at=now,
        closed_by=actor.label,
    )
    changes = {"number": number, "sha256": made.sha256}
    audit.record(actor=actor, verb="statement.closed", target=made, changes=changes)
    people = [
        row.user
        for row in Membership.objects.filter(organisation=organisation, role__in=("owner", "manager")).select_related(
            "user"
        )
    ]
    context = {"number": number, "month": f"{month:%Y-%m}", "organisation": organisation.lazy_name}
    notify(recipients=people, event="statement_closed", context=context, url=made.get_absolute_url())
    return 1


@dataclass(frozen=True)
class Fault:
    """What is wrong with a statement."""

    number: str
    what: str

    def __str__(self) -> str:
        return f"{self.number}: {self.what}"


def verify() -> Iterator[Fault]:
    """Hold every statement against its hash, its signature, the one before it, the audit log, and its hours."""
    before: Statement | None = None
    closed = AuditEvent.objects.filter(verb="statement.closed").values_list("changes", flat=True)
    written = {changes["number"]: changes["sha256"] for changes in closed.order_by("id")}
    for row in Statement.objects.select_related("organisation").order_by("id").iterator(chunk_size=200):
        for what in (*_of_itself(row), *_of_the_chain(row, before), *_of_the_hours(row)):
            yield Fault(row.number, what)
        if written.pop(row.number, None) != row.sha256:
            yield Fault(row.number, str(_("it is not the one that the audit log says was closed")))
        before = row
    for number in written:  # the chain cannot know what followed its last link
        yield Fault(number, str(_("the audit log says that it was closed, and it is not there")))


def _of_itself(row: Statement) -> Iterator[str]:
    if _sha256(row.text) != row.sha256:
        yield str(_("its text does not have the SHA-256 that is kept with it"))
    if not is_ours(row.public_key):
        yield str(_("it was signed with another key than this portal's"))
    if not fits(row.public_key, Purpose.STATEMENT, row.text, row.signature):
        yield str(_("the signature does not fit: the statement was altered"))


def _of_the_chain(row: Statement, before: Statement | None) -> Iterator[str]:
    named = _read(row).get("previous")
    expected = {"number": before.number, "sha256": before.sha256} if before else None
    if named != expected or row.previous_sha256 != (before.sha256 if before else ""):
        yield str(_("it does not follow the statement before it: one was altered or left out"))


def _of_the_hours(row: Statement) -> Iterator[str]:
    said = _read(row)
    zone = _zone(said)
    rows = sums_of_month(row.organisation, row.month, known=row.last_correction, as_of=row.closed_at, zone=zone)
    if said.get("totals") != asdict(UsageSums.total(sums for _lease, _day, sums in rows)):
        yield str(_("its sums are not those of the hours and corrections that it rests on"))


def _zone(said: dict[str, Any]) -> tzinfo | None:
    """In which its days lie, as it says: the agency's may have been another then."""
    try:
        return ZoneInfo(str(said.get("time_zone")))
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _read(row: Statement) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(row.text)
    except ValueError:
        return {}
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
