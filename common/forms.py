"""What every form of ours has in common: whoever leaves a field empty is told which."""

from typing import Any

from django import forms
from django.forms.utils import pretty_name
from django.utils.translation import gettext as _

_NAMELESS = forms.Field.default_error_messages["required"]
"""Django's own word for a field that is left empty; a field with one of its own keeps it."""


class NamesWhatIsEmpty:
    """For a form: names the field that is left empty, and says what to do there."""

    def full_clean(self) -> None:
        for name, field in self.fields.items():  # type: ignore[attr-defined]
            if field.error_messages.get("required") is _NAMELESS:
                field.error_messages["required"] = needed(field, str(field.label or pretty_name(name)))
        super().full_clean()  # type: ignore[misc]


class Form(NamesWhatIsEmpty, forms.Form):
    """What ours are made of."""


def needed(field: Any, label: str) -> str:
    """What to do about an empty field of this kind, by the name that stands above it."""
    if isinstance(field, forms.BooleanField):
        text = _("Tick “%(field)s”.")
    elif isinstance(field, forms.FileField):
        text = _("Choose a file for “%(field)s”.")
    elif isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        text = _("Choose “%(field)s”.")
    else:
        text = _("Enter “%(field)s”.")
    return text % {"field": label}
