"""The secret link of a calendar feed, and what stands behind it (RFC 5545)."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from icalendar import Calendar, Event

from allocations.lifecycle import HELD
from allocations.models import CalendarFeed, Lease
from audit import services as audit
from cluster.models import MaintenanceWindow
from common.errors import WrongState

PAST = timedelta(days=30)
"""How far back a feed reaches."""
REFRESH = timedelta(minutes=15)
MOST_EVENTS = 2_000


def digest_of(secret: str) -> str:
    """What is kept of a secret: 256 random bits need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def address(secret: str) -> str:
    """The whole link."""
    return str(settings.SITE_URL).rstrip("/") + reverse("allocations:feed-file", args=[secret])


@transaction.atomic
def renew(*, actor: Any) -> str:
    """A new secret for the actor's own feed; an old one stops working. It is not told again."""
    secret = secrets.token_urlsafe(32)
    values = {"digest": digest_of(secret), "created_at": timezone.now()}
    feed, made = CalendarFeed.objects.update_or_create(user=actor, defaults=values)
    audit.record(actor=actor, verb="calendar_feed.renew", target=feed, changes={"first": made})
    return secret


@transaction.atomic
def revoke(*, actor: Any) -> None:
    """The actor's link stops working. WrongState where there is none."""
    feed = CalendarFeed.objects.select_for_update(no_key=True).filter(user=actor).first()
    if feed is None:
        raise WrongState(_("You have no calendar link."), code="no_feed")
    audit.record(actor=actor, verb="calendar_feed.revoke", target=feed, changes={})
    feed.delete()


def render(secret: str) -> bytes | None:
    """The feed behind a secret, in its owner's language; None where it opens nothing. Three queries.

    Partners get the reservations of their organisations, the agency the work announced on nodes.
    """
    feed = CalendarFeed.objects.select_related("user").filter(digest=digest_of(secret)).first()
    if feed is None or not feed.user.is_active:
        return None
    with translation.override(feed.user.language):
        calendar = Calendar()
        calendar.add("prodid", f"-//{settings.SITE_NAME}//GPU//")
        calendar.add("version", "2.0")
        calendar.add("x-wr-calname", settings.SITE_NAME)
        calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
        since = timezone.now() - PAST
        for event in _maintenance(since) if feed.user.is_agency else _leases(feed.user, since):
            calendar.add_component(event)
        return bytes(calendar.to_ical())


def _leases(user: Any, since: datetime) -> list[Event]:
    rows = Lease.objects.visible_to(user).filter(state__in=(*HELD, "ended"), ends_at__gt=since)
    rows = rows.select_related("allocation__project", "allocation__pool").order_by("starts_at", "pk")
    return [_lease(lease) for lease in rows[:MOST_EVENTS]]


def _lease(lease: Lease) -> Event:
    count = ngettext("%(count)s GPU", "%(count)s GPUs", lease.device_count) % {"count": lease.device_count}
    event = _event(lease.public_id, f"{count} · {lease.allocation.pool.name} · {lease.allocation.project.title}")
    event.add("dtstart", lease.starts_at)
    event.add("dtend", lease.drained_at or lease.ends_at)
    event.add("description", lease.note or lease.public_id)
    event.add("url", str(settings.SITE_URL).rstrip("/") + lease.get_absolute_url())
    event.add("status", "TENTATIVE" if lease.state == "offered" else "CONFIRMED")
    return event


def _maintenance(since: datetime) -> list[Event]:
    rows = MaintenanceWindow.objects.filter(cancelled_at=None, ends_at__gt=since).select_related("node")
    events = []
    for window in rows.order_by("starts_at", "pk")[:MOST_EVENTS]:
        event = _event(window.public_id, f"{_('maintenance')} · {window.node.name}")
        event.add("dtstart", window.starts_at)
        event.add("dtend", window.ends_at)
        event.add("description", window.reason)
        events.append(event)
    return events


def _event(ref: str, summary: str) -> Event:
    event = Event()
    event.add("uid", f"{ref}@{str(settings.SITE_URL).rpartition('/')[2]}")
    event.add("dtstamp", timezone.now())
    event.add("summary", summary)
    return event
