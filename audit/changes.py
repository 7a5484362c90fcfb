"""How a change reads: one line a field."""

from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _


def change_lines(changes: dict[str, Any]) -> SafeString:
    """`name: old → new` for a pair, `name: value` for the rest; everything escaped."""
    if not changes:
        return SafeString("–")
    rows = ((name.replace("_", " "), _shown(value)) for name, value in sorted(changes.items()))
    return format_html_join("", '<div class="text-break"><span class="text-secondary">{}</span>: {}</div>', rows)


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(part, dict | list) for part in value):
        return f"{_plain(value[0])} → {_plain(value[1])}"
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return _plain(value)


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return str(value)
