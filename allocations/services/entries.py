"""What every verb of the wait-list shares: the locked row, the move that is written down, who is told."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts.models import User
from allocations.lifecycle import ON_THE_LIST, WAIT
from allocations.models import Lease, WaitEntry
from allocations.services.telling import local
from audit import services as audit
from notifications.services import notify

MOST_MISSED = 2
"""An entry that let so many offers lapse, or declined them, leaves the list: others wait for what it does not take."""
MISSED_TOO_OFTEN = gettext_noop("Two offers were not taken.")
_MISSES = ("lapse", "decline")
_TOLD = {"lapse": "offer_lapsed", "withdraw": "offer_withdrawn"}


def lock_entry(pk: int) -> WaitEntry:
    """The entry's row, locked, with what every verb needs of its surroundings."""
    return (
        WaitEntry.objects.select_for_update(of=("self",), no_key=True)
        .select_related("allocation__project__organisation", "allocation__pool", "asked_by")
        .get(pk=pk)
    )


def move(entry: WaitEntry, event: str, *, actor: Any, reason: str = "", **changes: Any) -> None:
    """One transition: next state from the table, the row saved, one audit row."""
    before = entry.state
    entry.state = WAIT.next(entry.state, event)
    entry.state_reason = reason[:300]
    if entry.state not in ON_THE_LIST:
        entry.over_at = timezone.now()
    if before == "offered":
        entry.remind_at = None
    entry.save()
    changes = {"state": [before, entry.state], **({"reason": reason} if reason else {}), **changes}
    audit.record(actor=actor, verb=f"wait_entry.{event}", target=entry, changes=changes)


def accepted(lease: Lease, *, actor: Any) -> None:
    """The entry behind an accepted offer is served. The caller has locked the lease."""
    entry = _behind(lease)
    if entry is not None:
        entry.served_at = timezone.now()
        move(entry, "accept", actor=actor, lease=lease.public_id)


def offer_is_over(lease: Lease, event: str, *, actor: Any, reason: str = "") -> None:
    """The entry behind an offer that was not taken moves by `event`. The caller has locked the lease.

    Whoever lets an offer go goes to the end of the queue, and off the list the second time; what the agency took back
    costs no place.
    """
    entry = _behind(lease)
    if entry is None:
        return
    now = timezone.now()
    if event in _MISSES:
        entry.missed += 1
        entry.passed_over, entry.joined_at = 0, now
    entry.next_try_at = now
    move(entry, event, actor=actor, reason=reason, lease=lease.public_id, missed=entry.missed)
    if event in _MISSES and entry.missed >= MOST_MISSED:
        move(entry, "drop", actor=actor, reason=MISSED_TOO_OFTEN)
    if event in _TOLD or entry.state == "dropped":
        tell(entry, _TOLD.get(event, "waitlist_dropped"))


def tell(entry: WaitEntry, event: str, **context: Any) -> None:
    """Tell the leads of the project and whoever asked, while still in the organisation: one query."""
    project = entry.allocation.project
    leads = Q(project_memberships__project=project, project_memberships__is_lead=True)
    asker = Q(pk=entry.asked_by_id, memberships__organisation=project.organisation_id)
    values = {
        "entry": entry.public_id,
        "project": project.title,
        "pool": entry.allocation.pool.name,
        "asked": entry.device_count,
        "profile": entry.profile,
        "earliest": local(entry.earliest_at),
        "latest": local(entry.latest_at),
        "reason": entry.state_reason,
        "dropped": entry.state == "dropped",
    }
    if entry.lease is not None:
        values |= {
            "lease": entry.lease.public_id,
            "devices": entry.lease.device_count,
            "starts_at": local(entry.lease.starts_at),
            "ends_at": local(entry.lease.ends_at),
        }
    people = User.objects.filter(leads | asker).distinct()
    url = entry.lease.get_absolute_url() if entry.state == "offered" and entry.lease else entry.get_absolute_url()
    notify(recipients=people, event=event, context=values | context, url=url)


def quarter_after(moment: Any) -> Any:
    """The next quarter of an hour on the clock: then all who wait are looked at anew, in their order."""
    whole = moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)
    return whole + timedelta(minutes=15)


def _behind(lease: Lease) -> WaitEntry | None:
    row = WaitEntry.objects.filter(lease=lease, state="offered").values_list("pk", flat=True).first()
    return None if row is None else lock_entry(row)
