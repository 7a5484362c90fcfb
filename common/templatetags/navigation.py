"""What stands in the navigation bar, by role."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

register = template.Library()

PARTNER = (
    ("home", _("Home")),
    ("proposals:calls", _("Calls")),
    ("proposals:proposals", _("Proposals")),
    ("projects:projects", _("Projects")),
    ("allocations:allocations", _("Allocations")),
    ("allocations:leases", _("Reservations")),
    ("allocations:calendar", _("Calendar")),
    ("allocations:waitlist", _("Wait-list")),
    ("partners:organisations", _("Organisation")),
)
STAFF = (
    ("home", _("Home")),
    ("reports:fleet", _("Fleet")),
    ("reports:capacity", _("Capacity")),
    ("proposals:queue", _("Proposal queue")),
    ("partners:organisations", _("Organisations")),
    ("partners:agreements", _("Agreements")),
    ("allocations:allocations", _("Allocations")),
    ("allocations:leases", _("Reservations")),
    ("allocations:calendar", _("Calendar")),
    ("allocations:staff-waitlist", _("Wait-list")),
    ("allocations:rules", _("Rules")),
    ("reports:nodes", _("Nodes")),
    ("reports:health", _("Health")),
)
AUDIT = (("audit:events", _("Audit")),)
ADMINISTRATOR = (("accounts:people", _("People")),)


@dataclass(frozen=True)
class Entry:
    """One link of the bar."""

    url: str
    label: Any
    active: bool


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> list[Entry]:
    """The entries for this reader; the longest matching address is the active one."""
    request = context["request"]
    user = request.user
    names = STAFF if user.is_agency else PARTNER
    if user.agency_roles & {"auditor", "administrator"}:
        names = (*names, *AUDIT)
    if "administrator" in user.agency_roles:
        names = (*names, *ADMINISTRATOR)
    found = []
    for name, label in names:
        try:
            found.append((reverse(name), label))
        except NoReverseMatch:
            continue
    matching = [url for url, _label in found if request.path == url or (url != "/" and request.path.startswith(url))]
    best = max(matching, key=len, default="")
    return [Entry(url, label, url == best) for url, label in found]


@register.simple_tag(takes_context=True)
def unread_count(context: dict[str, Any]) -> int:
    """Unread notices of the reader; one query."""
    return int(context["request"].user.notifications.filter(read_at=None).count())
