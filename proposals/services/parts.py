"""Rules about what may stand in each part of a proposal, and how it is written into rows. The verbs are elsewhere."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from cluster.models import GpuClass
from common.errors import RuleBroken
from common.moments import agency_today
from common.texts import composed, one_line
from proposals.asks import (
    MAX_LINES,
    MAX_TEAM,
    MAX_TITLE,
    AskLine,
    GivenAnswer,
    TeamRow,
    check_line,
)
from proposals.models import Answer, Call, Proposal, ProposalMember, Question, RequestLine
from proposals.selectors import gpu_classes_of

MAX_PLAN = 20_000
MAX_DATA = 5_000
MAX_REPLY = 4_000
MAX_ANSWER = 5_000
MAX_NUMBER = Decimal(10) ** 15
MOST_IN_TEAM = {"name": 100, "part": 200, "experience": 1_000}


def clean_title(raw: str) -> str:
    """One line, composed. RuleBroken where nothing is left or it is too long."""
    title = one_line(raw)
    if not 0 < len(title) <= MAX_TITLE:
        raise RuleBroken(
            _("A proposal needs a title of at most %(most)s characters.") % {"most": MAX_TITLE},
            code="bad_title",
            remedy=_("This one has %(count)s.") % {"count": len(title)} if title else "",
            field="title",
        )
    return title


def clean_text(raw: str, most: int, field: str) -> str:
    """A longer text, composed. RuleBroken past `most` characters."""
    text = composed(raw)
    if len(text) > most:
        raise RuleBroken(
            _("This text has %(count)s characters; at most %(most)s are possible.")
            % {"count": len(text), "most": most},
            code="text_too_long",
            remedy=_("Please shorten it, or attach the rest as a document."),
            field=field,
        )
    return text


def check_purposes(purposes: Iterable[str]) -> None:
    """RuleBroken for a purpose that there is not."""
    if set(purposes) - set(Proposal.Purpose.values):
        raise RuleBroken(_("This is not a purpose."), code="unknown_purpose", field="purposes")


def check_lines(lines: list[AskLine], call: Call) -> None:
    """RuleBroken (`lines.N.<field>`) for a line that contradicts itself or asks for what the call does not offer."""
    if len(lines) > MAX_LINES:
        raise RuleBroken(
            _("A proposal has at most %(most)s request lines.") % {"most": MAX_LINES}, code="too_many_lines"
        )
    known = set(gpu_classes_of(call).values_list("code", flat=True))
    today = agency_today()
    for place, line in enumerate(lines):
        try:
            if line.gpu_class not in known:
                raise RuleBroken(
                    _("This call does not offer that GPU class."), code="unknown_gpu_class", field="gpu_class"
                )
            check_line(line, today)
        except RuleBroken as error:
            raise on_line(error, place) from None


def on_line(error: RuleBroken, place: int) -> RuleBroken:
    """The same refusal, on a field of the line at `place` (from 0): `lines.0.gpus`."""
    return RuleBroken(
        error.message,
        code=error.code,
        remedy=error.remedy,
        field=f"lines.{place}.{error.field or 'gpus'}",
        facts={**error.facts, "line": place},
    )


def write_lines(proposal: Proposal, lines: Iterable[AskLine]) -> None:
    """Replace the request lines; the caller has checked them and holds the lock."""
    wanted = list(lines)
    classes = {row.code: row for row in GpuClass.objects.filter(code__in={line.gpu_class for line in wanted})}
    proposal.lines.all().delete()
    RequestLine.objects.bulk_create(
        RequestLine(proposal=proposal, **{**vars(line), "gpu_class": classes[line.gpu_class]}) for line in wanted
    )


def clean_team(rows: Iterable[TeamRow]) -> list[TeamRow]:
    """The team, composed, each person once. RuleBroken (`team.N.<field>`)."""
    team = [
        TeamRow(one_line(row.name), row.email.strip().lower(), one_line(row.part), composed(row.experience).strip())
        for row in rows
    ]
    if len(team) > MAX_TEAM:
        raise RuleBroken(
            _("A team has at most %(most)s people here.") % {"most": MAX_TEAM}, code="team_too_large", field="team"
        )
    met: set[str] = set()
    for place, row in enumerate(team):
        _check_person(place, row)
        if row.email and row.email in met:
            raise RuleBroken(
                _("This person stands in the team twice."), code="person_twice", field=f"team.{place}.email"
            )
        met.add(row.email)
    return team


def write_team(proposal: Proposal, team: list[TeamRow]) -> None:
    """Replace the team. Who has an account in the organisation is known by the e-mail address: two statements."""
    mails = [row.email for row in team if row.email]
    people = proposal.organisation.memberships.filter(user__email__in=mails).values_list("user__email", "user_id")
    users = dict(people) if mails else {}
    proposal.team.all().delete()
    ProposalMember.objects.bulk_create(
        ProposalMember(proposal=proposal, place=place, user_id=users.get(row.email), **vars(row))
        for place, row in enumerate(team)
    )


def clean_answers(rows: Iterable[GivenAnswer], questions: list[Question]) -> list[tuple[Question, Any]]:
    """(question, value or None) of what is answered. RuleBroken (`answers.<question>`) for what does not fit."""
    known = {question.public_id: question for question in questions}
    answers = []
    for row in rows:
        question = known.get(row.question)
        if question is None or question.kind == Question.Kind.FILE:
            raise RuleBroken(
                _("This call has no such question."), code="unknown_question", field=f"answers.{row.question}"
            )
        answers.append((question, _fitting(question, row.value)))
    return answers


def write_answers(proposal: Proposal, answers: list[tuple[Question, Any]]) -> None:
    """Replace the answers to these questions; None takes one away. Two statements."""
    proposal.answers.filter(question__in=[question for question, _value in answers]).delete()
    columns = {"text": "text", "number": "number", "choice": "choice", "yes_no": "yes_no"}
    Answer.objects.bulk_create(
        Answer(proposal=proposal, question=question, **{columns[question.kind]: value})
        for question, value in answers
        if value is not None
    )


def _check_person(place: int, row: TeamRow) -> None:
    for name, most in MOST_IN_TEAM.items():
        value = getattr(row, name)
        if len(value) > most or (not value and name != "experience"):
            raise RuleBroken(
                _("This needs a text of at most %(most)s characters.") % {"most": most},
                code="bad_team_row",
                field=f"team.{place}.{name}",
            )
    if row.email:
        try:
            validate_email(row.email)
        except ValidationError:
            raise RuleBroken(
                _("This is not an e-mail address."), code="bad_email", field=f"team.{place}.email"
            ) from None


def _fitting(question: Question, value: Any) -> Any:
    """The value in the type of its question's column; None where there is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    field = f"answers.{question.public_id}"
    kind = question.kind
    if kind == "text" and isinstance(value, str):
        return clean_text(value.strip(), MAX_ANSWER, field)
    if kind == "yes_no" and isinstance(value, bool):
        return value
    if kind == "choice" and _is_place(value) and value < len(question.choices_ko):
        return value
    if kind == "number" and isinstance(value, Decimal | int) and not isinstance(value, bool):
        number = Decimal(value)
        if number.is_finite() and abs(number) < MAX_NUMBER:
            return round(number, 4)
    raise RuleBroken(
        _("This does not answer the question."),
        code="bad_answer",
        remedy={
            "number": _("It asks for a number."),
            "choice": _("It asks for one of its choices."),
            "yes_no": _("It asks for yes or no."),
        }.get(kind, _("It asks for a text.")),
        field=field,
    )


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
