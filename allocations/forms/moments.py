"""A moment typed into a form."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common.moments import FIRST_YEAR, LAST_YEAR


class MomentField(forms.DateTimeField):
    """A moment in the reader's zone, picked in a browser to the minute; UTC from then on (see common.moments)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
            error_messages={"invalid": _("Please give a date and a time, like 2026-11-23 14:00.")},
            **kwargs,
        )

    def to_python(self, value: Any) -> datetime | None:
        """Refuses years that no reservation lies in, before they overflow anything."""
        try:
            moment: datetime | None = super().to_python(value)
        except (OverflowError, ValueError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None
        if moment and not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise forms.ValidationError(
                _("Please give a year between %(first)d and %(last)d."),
                params={"first": FIRST_YEAR, "last": LAST_YEAR},
                code="year",
            )
        return moment and moment.astimezone(UTC)
