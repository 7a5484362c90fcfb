"""Filters that pages and the API share."""

from typing import Any

import django_filters
from django.utils.translation import gettext_lazy as _
from django_filters.widgets import BooleanWidget


class YesNoWidget(BooleanWidget):
    """All, yes, no. The library's own widget calls the first one "unknown", which is no answer to a question."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.choices = [("", _("All")), ("true", _("Yes")), ("false", _("No"))]


class YesNoFilter(django_filters.BooleanFilter):
    """`?key=true`, `?key=false`, or nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": YesNoWidget, **kwargs})
