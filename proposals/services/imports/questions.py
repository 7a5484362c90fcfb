"""The call's own questions as columns of an import: each is headed by its text in either language, or by its id."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from proposals.asks import GivenAnswer
from proposals.models import Answer, Call, Proposal, Question
from proposals.services.imports.columns import ImportColumn, plain_name
from proposals.services.parts import clean_answers

PREFIX = "answer:"
_YES = {"yes", "y", "true", "1", "o", "예", "네"}
_NO = {"no", "n", "false", "0", "x", "아니오", "아니요"}
_EXAMPLES = {"text": "…", "number": "12.5", "yes_no": "예"}
_HELP = {
    "text": ("5,000자 이내", "At most 5,000 characters."),
    "number": ("숫자", "A number."),
    "yes_no": ("예 또는 아니요", "Yes or no."),
}


def question_columns(call: Call) -> dict[ImportColumn, Question]:
    """A column for each question that a cell can answer: one query. Files cannot come in a spreadsheet."""
    return columns_of(call.questions.order_by("place"))


def columns_of(questions: Iterable[Question]) -> dict[ImportColumn, Question]:
    """The same of questions that were read already."""
    return {_column(question): question for question in questions if question.kind != Question.Kind.FILE}


def needed_files(questions: Iterable[Question]) -> tuple[str, ...]:
    """The files that the call needs and no spreadsheet brings, by their questions in the reader's language."""
    return tuple(row.label for row in questions if row.kind == Question.Kind.FILE and row.is_required)


def names_of(columns: dict[ImportColumn, Question]) -> dict[str, ImportColumn]:
    """The headers that mean them: a text that two questions share means neither, their ids always do."""
    texts = [(plain_name(text), column) for column in columns for text in {column.ko, column.en}]
    shared = Counter(name for name, _column in texts)
    ids = {plain_name(question.public_id): column for column, question in columns.items()}
    return {name: column for name, column in texts if name and shared[name] == 1} | ids


def read_answer(question: Question, text: str) -> Any:
    """What a cell says to a question, in its type. RuleBroken names what to write instead."""
    value: Any = text
    if question.kind == Question.Kind.NUMBER:
        value = _number(text)
    elif question.kind == Question.Kind.CHOICE:
        value = _choice(question, text)
    elif question.kind == Question.Kind.YES_NO:
        value = _yes_no(text)
    return clean_answers([GivenAnswer(question.public_id, value)], [question])[0][1]


def answers_of_row(proposal: Proposal, said: dict[str, Any], questions: list[Question]) -> list[Answer]:
    """The answers of a proposal of the file, not saved yet, in the call's order."""
    found = ((question, said.get(PREFIX + question.public_id)) for question in questions)
    return [
        Answer(proposal=proposal, question=question, **{str(question.kind): value})
        for question, value in found
        if value is not None
    ]


def _column(question: Question) -> ImportColumn:
    if question.kind == Question.Kind.CHOICE:
        ko, en = "; ".join(question.choices_ko), "; ".join(question.choices_en)
        example, helps = (question.choices_ko or [""])[0], (f"하나를 적습니다: {ko}", f"One of: {en}")
    else:
        example, helps = _EXAMPLES[question.kind], _HELP[question.kind]
    key = PREFIX + question.public_id
    return ImportColumn(key, question.label_ko, question.label_en, question.is_required, example, *helps)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        raise RuleBroken(_("This is not a number."), remedy=_("Write it like 12.5.")) from None


def _choice(question: Question, text: str) -> int:
    for names in (question.choices_ko, question.choices_en):
        for place, name in enumerate(names):
            if plain_name(name) == plain_name(text):
                return place
    offered = "; ".join(question.choices_en if get_language() == "en" else question.choices_ko)
    raise RuleBroken(_("This is none of the choices."), remedy=_("There are: %(known)s.") % {"known": offered[:500]})


def _yes_no(text: str) -> bool:
    word = plain_name(text)
    if word not in _YES | _NO:
        raise RuleBroken(_("This is neither yes nor no."), remedy=_("Write yes or no."))
    return word in _YES
