"""What stands in the navigation bar, by role."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

register = template.Library()

Names = tuple[tuple[str, Any], ...]
PARTNER: tuple[tuple[Any, Names], ...] = (
    ("", (("home", _("Home")),)),
    ("", (("proposals:calls", _("Calls")),)),
    ("", (("proposals:proposals", _("Proposals")),)),
    ("", (("projects:projects", _("Projects")),)),
    ("", (("allocations:allocations", _("Allocations")),)),
    (
        _("Reservations"),
        (
            ("allocations:leases", _("Reservations")),
            ("allocations:calendar", _("Calendar")),
            ("allocations:find", _("Find me a slot")),
            ("allocations:waitlist", _("Wait-list")),
            ("usage:idle-cases", _("Idle GPUs")),
            ("usage:figures", _("Our figures")),
            ("usage:sums", _("Use")),
            ("usage:statements", _("Monthly statements")),
        ),
    ),
    ("", (("partners:organisations", _("Organisation")),)),
)
STAFF: tuple[tuple[Any, Names], ...] = (
    ("", (("home", _("Home")),)),
    (
        _("Programme"),
        (
            ("reports:programme", _("Programme figures")),
            ("proposals:queue", _("Proposal queue")),
            ("proposals:prepared-list", _("Prepared decisions")),
            ("proposals:steps", _("Steps of review")),
            ("proposals:reviewers", _("Reviewers")),
            ("proposals:staff-calls", _("Calls")),
            ("partners:organisations", _("Organisations")),
            ("partners:agreements", _("Agreements")),
            ("projects:projects", _("Projects")),
            ("projects:progress-list", _("Progress reports")),
        ),
    ),
    (
        _("Allocations"),
        (
            ("allocations:allocations", _("Allocations")),
            ("allocations:adjustments", _("Adjustments")),
            ("proposals:change-requests", _("Changes to awards")),
            ("allocations:rules", _("Rules")),
            ("allocations:weights", _("Weights")),
        ),
    ),
    (
        _("Reservations"),
        (
            ("allocations:leases", _("Reservations")),
            ("allocations:calendar", _("Calendar")),
            ("allocations:staff-waitlist", _("Wait-list")),
            ("usage:idle-cases", _("Idle GPUs")),
            ("usage:idle-rules", _("Rules about idle GPUs")),
            ("usage:sums", _("Use")),
            ("usage:statements", _("Monthly statements")),
        ),
    ),
    (
        _("Data centre"),
        (
            ("reports:fleet", _("Fleet")),
            ("reports:capacity", _("Capacity")),
            ("reports:pools", _("Pools")),
            ("reports:nodes", _("Nodes")),
            ("reports:health", _("Health")),
        ),
    ),
)
REVIEWER: tuple[tuple[Any, Names], ...] = (
    ("", (("home", _("Home")),)),
    ("", (("proposals:reviews", _("Reviews")),)),
    ("", (("proposals:reviewer-profile", _("My profile")),)),
)
AUDIT: tuple[tuple[Any, Names], ...] = (("", (("audit:events", _("Audit")),)),)
ADMINISTRATOR: tuple[tuple[Any, Names], ...] = (("", (("accounts:people", _("People")),)),)

EXACT = ("/", "/staff/")
"""Pages under whose address nearly everything lies; what belongs to them stands in ALSO."""
ALSO: dict[str, tuple[str, ...]] = {
    "allocations:allocations": ("/changes/", "/staff/allocations/", "/weights/"),
    "allocations:leases": ("/staff/leases/",),
    "allocations:staff-waitlist": ("/waitlist/",),
    "allocations:weights": ("/staff/weights/",),
    "partners:agreements": ("/amendments/", "/obligations/"),
    "partners:organisations": (
        *("/agreements/", "/amendments/", "/obligations/"),
        *("/contacts/", "/departments/", "/relations/", "/shareholders/"),
    ),
    "projects:progress-list": ("/progress-reports/",),
    "projects:projects": ("/progress-reports/",),
    "proposals:calls": ("/open-calls/",),
    "proposals:change-requests": ("/staff/changes/",),
    "proposals:prepared-list": ("/letters/", "/staff/letters/"),
    "proposals:proposals": ("/attachments/", "/letters/"),
    "proposals:queue": ("/attachments/", "/proposals/", "/staff/assignments/"),
    "proposals:staff-calls": ("/calls/", "/open-calls/", "/staff/files/"),
    "reports:fleet": ("/staff/devices/", "/staff/live/", "/staff/map/", "/staff/storage/"),
    "reports:nodes": ("/staff/windows/",),
    "usage:idle-cases": ("/staff/idle/",),
}
"""Beginnings of addresses that belong to an entry beside its own; of two of one length the later entry has it."""


@dataclass(frozen=True)
class Entry:
    """One link of the bar."""

    url: str
    label: Any
    active: bool


@dataclass(frozen=True)
class Group:
    """Links under one word; a group of no word is a link of the bar itself."""

    label: Any
    entries: tuple[Entry, ...]

    @property
    def active(self) -> bool:
        """Whether the reader is on one of its pages."""
        return any(entry.active for entry in self.entries)


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> list[Group]:
    """The groups for this reader; the entry with the longest beginning of the present address is the active one."""
    request = context["request"]
    user = request.user
    groups = STAFF if user.is_agency else PARTNER
    if "reviewer" in user.agency_roles:
        own = REVIEWER[1:] if user.is_agency or user.memberships.exists() else REVIEWER
        groups = (*groups, *own) if own is not REVIEWER else own
    if user.agency_roles & {"auditor", "administrator"}:
        groups = (*groups, *AUDIT)
    if "administrator" in user.agency_roles:
        groups = (*groups, *ADMINISTRATOR)
    found = [(label, [(name, url, word) for name, word in names if (url := _address(name))]) for label, names in groups]
    reach = {name: _reach(request.path, name, url) for _label, rows in found for name, url, _word in rows}
    best = max(reversed(reach), key=lambda name: reach[name], default="")
    here = best if reach.get(best) else ""
    return [
        Group(label, tuple(Entry(url, word, name == here) for name, url, word in rows)) for label, rows in found if rows
    ]


def _reach(path: str, name: str, url: str) -> int:
    """How many characters of an address an entry answers for; 0: it is not one of its pages."""
    beginnings = [] if url in EXACT else [url]
    reached = [len(each) for each in (*beginnings, *ALSO.get(name, ())) if path.startswith(each)]
    return len(url) if path == url else max(reached, default=0)


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def unread_count(context: dict[str, Any]) -> int:
    """Unread notices of the reader; one query."""
    return int(context["request"].user.notifications.filter(read_at=None).count())
