"""Shapes of the forms about proposals."""

from proposals.forms.answers import AnswersForm, initial_answers
from proposals.forms.attachments import AttachmentForm
from proposals.forms.changes import ChangeForm
from proposals.forms.copies import CopyForm, next_call
from proposals.forms.decisions import AwardLineForm, AwardReasonForm
from proposals.forms.drafts import (
    LINE_FIELDS,
    AboutForm,
    BaseLineFormSet,
    LineForm,
    LineFormSet,
    PlanForm,
    ReplyForm,
    line_forms,
)
from proposals.forms.imports import ConfirmForm, ImportForm
from proposals.forms.preparing import DeclineManyForm, LetterTextForm, PrepareForm
from proposals.forms.rows import reshaped, typed_rows
from proposals.forms.team import TEAM_FIELDS, TeamForm, initial_team, team_forms

__all__ = [
    "LINE_FIELDS",
    "TEAM_FIELDS",
    "AboutForm",
    "AnswersForm",
    "AttachmentForm",
    "AwardLineForm",
    "AwardReasonForm",
    "BaseLineFormSet",
    "ChangeForm",
    "ConfirmForm",
    "CopyForm",
    "DeclineManyForm",
    "ImportForm",
    "LetterTextForm",
    "LineForm",
    "LineFormSet",
    "PlanForm",
    "PrepareForm",
    "ReplyForm",
    "TeamForm",
    "initial_answers",
    "initial_team",
    "line_forms",
    "next_call",
    "reshaped",
    "team_forms",
    "typed_rows",
]
