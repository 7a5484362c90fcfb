"""Shapes of the forms about proposals."""

from proposals.forms.calls import CallForm
from proposals.forms.decisions import AwardLineForm, AwardReasonForm
from proposals.forms.drafts import (
    LINE_FIELDS,
    BaseLineFormSet,
    LineForm,
    LineFormSet,
    ProposalForm,
    initial_lines,
    line_forms,
    typed_lines,
)

__all__ = [
    "LINE_FIELDS",
    "AwardLineForm",
    "AwardReasonForm",
    "BaseLineFormSet",
    "CallForm",
    "LineForm",
    "LineFormSet",
    "ProposalForm",
    "initial_lines",
    "line_forms",
    "typed_lines",
]
