"""Filters that pages and the API share."""

from typing import Any

import django_filters
from django.forms.widgets import HiddenInput
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_filters.widgets import BooleanWidget


def state_choices(states: tuple[str, ...]) -> list[tuple[str, object]]:
    """(state, its name in the reader's language)."""
    return [(state, pgettext_lazy("state", state.replace("_", " "))) for state in states]


class YesNoWidget(BooleanWidget):
    """All, yes, no. The library's own widget calls the first one "unknown", which is no answer to a question."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.choices = [("", _("All")), ("true", _("Yes")), ("false", _("No"))]


class YesNoFilter(django_filters.BooleanFilter):
    """`?key=true`, `?key=false`, or nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": YesNoWidget, **kwargs})


class LinkFilter(django_filters.CharFilter):
    """By the public id of another object: a link brings it, nobody types it; further filtering keeps it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": HiddenInput, **kwargs})
