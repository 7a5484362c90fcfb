"""Over which days the figures of the programme go."""

from datetime import date

from usage.forms.sums import PeriodForm


class ProgrammeForm(PeriodForm):
    """Nothing said: the calendar year up to today."""

    def beginning(self, until: date) -> date:
        """The first of January."""
        return until.replace(month=1, day=1)
