"""Over which days the figures of the programme go."""

from datetime import date

from django.utils import timezone

from allocations.selectors.usage import day_of
from usage.forms.sums import PeriodForm


class ProgrammeForm(PeriodForm):
    """Nothing said: the calendar year up to today."""

    def days(self) -> tuple[date, date]:
        """(first day, last day); what makes no sense counts as not said."""
        said = self.cleaned_data if self.is_valid() else {}
        until: date = said.get("until") or max(day_of(timezone.now()), said.get("since") or date.min)
        return said.get("since") or until.replace(month=1, day=1), until
