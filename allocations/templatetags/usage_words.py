"""Sums of use as a bar, and the minutes of an hour as a strip: pictures with their numbers beside them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from allocations.models import UsageCorrection
from allocations.selectors.usage.figures import UsageSums
from allocations.usage_classes import UsageClass
from common.templatetags.bitgoeul import hours, moment

register = template.Library()

WIDTH = 600


@register.simple_tag
def usage_bar(sums: UsageSums) -> SafeString:
    """The seven parts of what was held, side by side; the legend with the numbers stands below it."""
    if not sums.held_seconds:
        return SafeString("")
    edges, running = [], 0
    for each, seconds in sums.parts:
        begin = running * WIDTH // sums.held_seconds
        running += seconds
        end = running * WIDTH // sums.held_seconds
        if end > begin:
            edges.append((begin, end - begin, each.colour, each.label, hours(seconds)))
    parts = format_html_join(
        "", '<rect x="{}" y="0" width="{}" height="12" fill="{}"><title>{}: {}</title></rect>', edges
    )
    return format_html(
        '<svg class="usage-bar" viewBox="0 0 {} 12" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        _("What was made of the GPU-hours held, in parts"),
        parts,
    )


@register.simple_tag
def usage_key(kind: UsageClass) -> SafeString:
    """A square in the colour of a class."""
    return format_html(
        '<svg class="usage-key" viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="{}"/></svg>',
        kind.colour,
    )


@register.filter
def runs(codes: Iterable[str]) -> list[dict[str, Any]]:
    """Letters one after the other as stretches of the same class, without what was not held: for a strip."""
    found: list[dict[str, Any]] = []
    for place, letter in enumerate(codes):
        if letter == " ":
            continue
        if found and found[-1]["letter"] == letter and found[-1]["end"] == place:
            found[-1]["end"] += 1
        else:
            kind = UsageClass.of_letter(letter)
            found.append({"letter": letter, "start": place, "end": place + 1, "kind": kind})
    for run in found:
        run["length"] = run["end"] - run["start"]
    return found


@register.simple_tag
def usage_strip(codes: list[str], device: Any) -> SafeString:
    """A day's 1,440 minutes as stretches of colour; the table beside it says the same in words."""
    parts = format_html_join(
        "",
        '<rect x="{}" y="0" width="{}" height="20" fill="{}"><title>{}–{} {}</title></rect>',
        (
            (
                run["start"],
                run["length"],
                run["kind"].colour,
                clock_of(run["start"]),
                clock_of(run["end"]),
                run["kind"].label,
            )
            for run in runs(codes)
        ),
    )
    return format_html(
        '<svg class="usage-strip" viewBox="0 0 1440 20" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        _("Minutes of %(device)s on this day") % {"device": device},
        parts,
    )


@register.filter
def clock_of(minute: int) -> str:
    """A minute of the day as `08:30`; the last one's end is 24:00."""
    return f"{minute // 60:02}:{minute % 60:02}"


@register.filter
def class_word(name: str) -> str:
    """The name of a class as signed documents keep it, in the reader's language; empty: not held."""
    return str(UsageClass(name).label) if name else _("not held")


@register.filter
def correction_word(reason: str) -> str:
    """A correction's reason: what the portal writes by itself in the reader's language."""
    return str(UsageCorrection.WHY.get(reason, reason))


@register.filter
def iso_moment(text: str) -> str:
    """A moment that a document keeps as text, in the reader's zone."""
    return moment(datetime.fromisoformat(text))
