"""Filters and tags that every template has."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.moments import zone_words
from common.quantities import seconds_to_hours
from common.state_words import state_word

register = template.Library()

BADGES = {
    "active": "green",
    "available": "green",
    "awarded": "green",
    "accepted": "green",
    "ready": "green",
    "ok": "green",
    "done": "green",
    "passed": "green",
    "in_use": "blue",
    "submitted": "blue",
    "open": "green",
    "announced": "azure",
    "in_review": "blue",
    "scheduled": "azure",
    "offered": "yellow",
    "waiting": "azure",
    "served": "green",
    "preparing": "azure",
    "pending": "azure",
    "draining": "orange",
    "reclaiming": "orange",
    "cleaning": "orange",
    "returned": "orange",
    "suspended": "orange",
    "suspect": "orange",
    "warn": "orange",
    "failed": "red",
    "fail": "red",
    "quarantined": "red",
    "offline": "red",
    "unreachable": "red",
    "terminated": "red",
    "declined": "red",
    "held": "orange",
    "appealed": "yellow",
    "expired": "orange",
    "refused": "red",
    "prepared": "azure",
    "approved": "green",
    "released": "green",
    "asked": "azure",
    "granted": "green",
    "noticed": "yellow",
    "due": "orange",
    "executing": "orange",
    "executed": "blue",
    "resolved": "green",
    "upheld": "green",
    "on": "green",
}


@register.filter
def hours(seconds: int | None) -> str:
    """Device-seconds as hours with separators, `1,234.50`."""
    return "–" if seconds is None else formats.number_format(seconds_to_hours(int(seconds)), 2, force_grouping=True)


@register.filter
def number(value: int | float | Decimal | None, digits: int = 0) -> str:
    """A number with separators, rounded half up; an en dash for a gap (a gap is never zero)."""
    if isinstance(value, Decimal | float):  # which number_format cuts off
        value = Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return "–" if value is None else formats.number_format(value, digits, force_grouping=True)


@register.filter
def moment(value: datetime | None, with_seconds: str = "") -> str:
    """`2026-11-23 14:00 KST` in the reader's zone."""
    if value is None:
        return "–"
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S %Z" if with_seconds else "%Y-%m-%d %H:%M %Z")


@register.filter
def duration(value: timedelta) -> str:
    """A length of time in words, rounded down to whole minutes: its two largest units."""
    minutes = int(value.total_seconds() // 60)
    units = (minutes // 1440, minutes % 1440 // 60, minutes % 60)
    words = (
        ngettext("%(n)s day", "%(n)s days", units[0]) % {"n": number(units[0])},
        ngettext("%(n)s hour", "%(n)s hours", units[1]) % {"n": units[1]},
        ngettext("%(n)s minute", "%(n)s minutes", units[2]) % {"n": units[2]},
    )
    said = [word for count, word in zip(units, words, strict=True) if count]
    return " ".join(said[:2]) or words[2]


@register.filter
def seconds_in_words(seconds: int) -> str:
    """A number of seconds as `duration` says it."""
    return duration(timedelta(seconds=seconds))


@register.filter
def day(value: Any) -> str:
    """`2026-11-23`."""
    if value is None:
        return "–"
    return (timezone.localtime(value) if isinstance(value, datetime) else value).strftime("%Y-%m-%d")


@register.filter
def state_label(value: str, noun: str) -> str:
    """The translated name of a state of this noun (of its lifecycle; or `call`, `health`)."""
    return state_word(value, noun) if value else "–"


@register.filter
def reason_text(text: str) -> str:
    """A stored reason: the portal's own sentences in the reader's language, what people wrote as they wrote it.

    The portal's may follow the name of what it happened to: `lease-…: sentence`.
    """
    name, _colon, sentence = text.rpartition(": ")
    if not text or _(text) != text or not name:
        return _(text) if text else ""
    return f"{name}: {_(sentence)}" if sentence else text


@register.filter
def badge(value: str, noun: str) -> str:
    """A coloured badge for a state of this noun; the word carries the meaning, the colour only helps."""
    colour = BADGES.get(value, "secondary")
    return format_html(
        '<span class="badge bg-{}-lt" data-state="{}">{}</span>', colour, value, state_label(value, noun)
    )


@register.simple_tag(takes_context=True)
def query_with(context: dict[str, Any], **changes: Any) -> str:
    """The present query string with some keys changed (None removes one)."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        query.pop(key, None)
        if value is not None:
            query[key] = value
    return f"?{query.urlencode()}"


@register.filter
def in_form(value: str, form: Any) -> str:
    """A figure in the reader's form for its unit: `%(value)s GPUs`."""
    return str(form) % {"value": value}


@register.simple_tag
def percent(part: int | float | None, whole: int | float | None) -> str:
    """`37 %`, or an en dash where there is nothing to divide by."""
    if not whole or part is None:
        return "–"
    return _("%(value)s %%") % {"value": number(100 * part / whole)}


@register.simple_tag
def icon(name: str) -> str:
    """A Tabler icon out of the vendored sprite; says nothing to a screen reader."""
    sprite = static("vendor/tabler-icons/sprite.svg")
    return format_html(
        '<svg class="icon" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
        'stroke-linejoin="round" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        sprite,
        name,
    )


@register.filter
def lost_upload(field: Any) -> str:
    """The name of the file that came with a form which is shown once more: no browser sends it again. Else ""."""
    if not (field.form.is_bound and field.field.widget.needs_multipart_form):
        return ""
    upload = field.form.files.get(field.html_name)
    return upload.name if upload is not None else ""


@register.filter
def styled(field: Any) -> str:
    """A bound field's widget with the classes of its kind and its errors announced to screen readers.

    A browser would cut what is longer than `maxlength` without a word, when it is pasted too. The bound is said instead
    (`data-most`, which site.js counts against), and the form refuses what passes it with all of it still there.
    """
    widget = field.field.widget
    kind = getattr(widget, "input_type", "")
    css = "form-select" if kind == "select" else "form-control"
    if kind in ("checkbox", "radio"):
        css = "form-check-input"
    attrs: dict[str, Any] = {
        "class": f"{widget.attrs.get('class', '')} {css}{' is-invalid' if field.errors else ''}".strip()
    }
    if field.errors:
        attrs |= {"aria-invalid": "true", "aria-describedby": f"{field.auto_id}_error"}
    if most := widget.attrs.get("maxlength"):
        attrs |= {"maxlength": False, "data-most": most}
    return str(field.as_widget(attrs=attrs))


@register.simple_tag
def cell(column: Any, obj: Any) -> str:
    """What a list shows in one cell: plain, a badge, or a link."""
    value = column.shown(obj)
    shown = badge(value, column.badge) if column.badge else ("–" if value is None or value == "" else value)
    href = column.href(obj)
    return format_html('<a href="{}">{}</a>', href, shown) if href else format_html("{}", shown)


@register.simple_tag
def agency_zone() -> str:
    """The name of the agency's zone, as tables of zones have it."""
    return timezone.get_default_timezone_name()


@register.simple_tag
def agency_zone_words() -> str:
    """The same for people: its days are those of agreements, statements and sums."""
    return zone_words()
