"""What the forms of the call's editor share: a mark against overwriting, and rows that work without scripts."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from common.quantities import hours_to_seconds, seconds_to_hours
from proposals.models import Call
from proposals.services.call_checks import STAY_OPEN, STAY_OVER
from proposals.terms import MAX_HOURS, MAX_ROWS, SECTIONS, CallTerms, mark_of

BLANK_ROWS = 2


def hours_field(label: Any, **kwargs: Any) -> forms.DecimalField:
    """GPU-hours, empty for no bound unless said otherwise."""
    options = {"required": False, "min_value": 0, "max_value": MAX_HOURS, "max_digits": 12, "decimal_places": 2}
    return forms.DecimalField(label=label, **{**options, **kwargs})


def lines_of(text: str) -> tuple[str, ...]:
    """One entry a line, without empty ones."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


class Row(Form):
    """One row of a list; a blank one counts for nothing."""

    def row(self) -> Any:
        """The cleaned row in the shape of the terms."""
        raise NotImplementedError


class BaseRows(forms.BaseFormSet):
    """Rows with an order and a box to take one away."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "ORDER" in form.fields:
            form.fields["ORDER"].label = _("Order")
        if "DELETE" in form.fields:
            form.fields["DELETE"].label = _("Take this line away")

    def used(self) -> list[Any]:
        """The forms whose rows count, in their order."""
        ordered = self.ordered_forms if self.can_order else self.forms
        gone = self.deleted_forms
        return [form for form in ordered if form.has_changed() and form not in gone]


def rows_of(form: type[Row], *, can_order: bool) -> Any:
    """A formset of rows with a few blank ones."""
    return forms.formset_factory(
        form,
        formset=BaseRows,
        extra=BLANK_ROWS,
        max_num=MAX_ROWS,
        validate_max=True,
        absolute_max=MAX_ROWS + BLANK_ROWS,
        can_delete=True,
        can_delete_extra=False,
        can_order=can_order,
    )


class SectionForm(Form):
    """One page of the editor. Subclasses name the section, and translate between its fields and the call's terms."""

    section: ClassVar[str]
    rows_class: ClassVar[Any] = None
    rows_name: ClassVar[str] = ""
    opened_on = forms.CharField(required=False, widget=forms.HiddenInput, max_length=64)

    def __init__(self, data: Any = None, files: Any = None, *, call: Call, terms: CallTerms, **kwargs: Any) -> None:
        self.call, self.terms = call, terms
        initial = {"opened_on": mark_of(terms, SECTIONS[self.section]), **self.initial_of(terms)}
        super().__init__(data, files, **{**kwargs, "initial": initial})
        self.rows: Any = None
        self.used: list[Any] = []
        if self.rows_class is not None:
            said = None if data is not None else self.rows_initial(terms)
            self.rows = self.rows_class(data, prefix=self.rows_name, initial=said)
        self._hold_still()

    @property
    def stands(self) -> bool:
        """Whether nothing of this page may be changed any more."""
        return not any(self.may_change(name) for name in SECTIONS[self.section])

    def may_change(self, name: str) -> bool:
        """Whether a part of the terms may still be changed, as far as a form can tell."""
        stage = self.call.stage
        if stage in ("draft", "announced"):
            return True
        return stage != "cancelled" and name in (STAY_OVER if stage == "over" else STAY_OPEN)

    def initial_of(self, terms: CallTerms) -> dict[str, Any]:
        """The fields of this page as the call has them."""
        return {name: getattr(terms, name) for name in SECTIONS[self.section] if name in self.base_fields}

    def rows_initial(self, terms: CallTerms) -> list[dict[str, Any]]:
        """The rows of this page as the call has them."""
        return []

    def changes(self) -> dict[str, Any]:
        """The cleaned form as what the service takes: what may not be changed is left out."""
        names = [name for name in SECTIONS[self.section] if self.may_change(name)]
        data = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        if self.rows is not None and self.rows_name in names:
            self.used = self.rows.used()
            data[self.rows_name] = tuple(form.row() for form in self.used)
        return data

    def is_valid(self) -> bool:
        """Both the fields and the rows, so that all wrong fields are marked at once."""
        whole = super().is_valid()
        if self.rows is None or not self.may_change(self.rows_name):
            return whole
        return bool(self.rows.is_valid()) and whole

    def place(self, field: str, message: str) -> bool:
        """Put a refusal on the field of a row, `criteria.2.weight`; False where there is none."""
        parts = field.split(".")
        if self.rows is None or len(parts) != 3 or parts[0] != self.rows_name:
            return False
        form = self.used[int(parts[1])]
        form.add_error(parts[2] if parts[2] in form.fields else None, message)
        return True

    def _hold_still(self) -> None:
        """What stands is shown and cannot be typed over."""
        for name, field in self.fields.items():
            part = name.replace("_gpu_hours", "_gpu_seconds")
            if part in SECTIONS[self.section] and not self.may_change(part):
                field.disabled = True
        if self.rows is not None and not self.may_change(self.rows_name):
            for form in self.rows.forms:
                for field in form.fields.values():
                    field.disabled = True


class HoursMixin:
    """Fields named `<part>_gpu_hours` for parts named `<part>_gpu_seconds`."""

    HOURS: ClassVar[tuple[str, ...]] = ()

    def initial_of(self, terms: CallTerms) -> dict[str, Any]:
        """Hours where the terms have seconds."""
        found: dict[str, Any] = super().initial_of(terms)  # type: ignore[misc]
        for name in self.HOURS:
            value = getattr(terms, f"{name}_gpu_seconds")
            found[f"{name}_gpu_hours"] = None if value is None else seconds_to_hours(value)
        return found

    def changes(self) -> dict[str, Any]:
        """Seconds again."""
        data: dict[str, Any] = super().changes()  # type: ignore[misc]
        for name in self.HOURS:
            if not self.may_change(f"{name}_gpu_seconds"):  # type: ignore[attr-defined]
                continue
            value = self.cleaned_data[f"{name}_gpu_hours"]  # type: ignore[attr-defined]
            data[f"{name}_gpu_seconds"] = None if value is None else hours_to_seconds(value)
        return data
