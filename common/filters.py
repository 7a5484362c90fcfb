"""Filters that pages and the API share."""

from datetime import date, datetime, time, timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.forms.widgets import DateInput, HiddenInput
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_filters.widgets import BooleanWidget

from common.lifecycle import Lifecycle
from common.state_words import state_context


def state_choices(lifecycle: Lifecycle) -> list[tuple[str, object]]:
    """(state, its name in the reader's language), as the badges of this noun have it."""
    context = state_context(lifecycle.noun)
    return [(state, pgettext_lazy(context, state.replace("_", " "))) for state in lifecycle.states]


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


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class SinceDayFilter(django_filters.DateFilter):
    """From the first moment of a day in the reader's zone: a plain bound, so that an index on the time serves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **kwargs})

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """The rows from that day on."""
        return qs if value is None else qs.filter(**{f"{self.field_name}__gte": _midnight(value)})


class UntilDayFilter(SinceDayFilter):
    """To the last moment of a day in the reader's zone."""

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """The rows up to that day, itself included."""
        if value is None or value == date.max:
            return qs
        return qs.filter(**{f"{self.field_name}__lt": _midnight(value + timedelta(days=1))})
