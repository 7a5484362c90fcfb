"""The form of a call's own questions, one field a question."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from common.forms import Form
from proposals.asks import GivenAnswer
from proposals.models import Answer, Question
from proposals.services.parts import MAX_ANSWER

NONE = ("", _("no answer yet"))


class AnswersForm(Form):
    """Nothing is required to save; what is needed to submit says so."""

    def __init__(self, *args: Any, questions: list[Question], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.questions = questions
        for question in questions:
            self.fields[question.public_id] = field = _field(question)
            field.label, field.required = question.label, False
            needed = _("Needed to submit.") if question.is_required else ""
            field.help_text = f"{question.help} {needed}".strip()

    def given(self) -> tuple[GivenAnswer, ...]:
        """The answers that are no files; an empty one takes away what was answered."""
        asked = [question for question in self.questions if question.kind != Question.Kind.FILE]
        return tuple(GivenAnswer(one.public_id, _value(one, self.cleaned_data[one.public_id])) for one in asked)

    def uploads(self) -> list[tuple[Question, Any]]:
        """(question, upload) of the files that were chosen."""
        asked = [question for question in self.questions if question.kind == Question.Kind.FILE]
        return [(one, self.cleaned_data[one.public_id]) for one in asked if self.cleaned_data[one.public_id]]


def initial_answers(answers: Iterable[Answer]) -> dict[str, Any]:
    """What was answered as the form's initial values."""
    found: dict[str, Any] = {}
    for answer in answers:
        value = answer.value
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, Decimal):
            value = f"{value.normalize():f}"
        if answer.file_id is None:
            found[answer.question.public_id] = str(value)
    return found


def _field(question: Question) -> forms.Field:
    kind = question.kind
    if kind == Question.Kind.NUMBER:
        return forms.DecimalField(max_digits=19, decimal_places=4, widget=forms.NumberInput(attrs={"step": "any"}))
    if kind == Question.Kind.CHOICE:
        labels = question.choices_en if (get_language() or "ko").startswith("en") else question.choices_ko
        return forms.ChoiceField(choices=[NONE, *((str(place), label) for place, label in enumerate(labels))])
    if kind == Question.Kind.YES_NO:
        return forms.ChoiceField(choices=[NONE, ("yes", _("Yes")), ("no", _("No"))])
    if kind == Question.Kind.FILE:
        return forms.FileField()
    return forms.CharField(max_length=MAX_ANSWER, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}))


def _value(question: Question, cleaned: Any) -> Any:
    if cleaned in ("", None):
        return None
    if question.kind == Question.Kind.CHOICE:
        return int(cleaned)
    return cleaned == "yes" if question.kind == Question.Kind.YES_NO else cleaned
