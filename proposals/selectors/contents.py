"""What a proposal says, as plain values: what a version keeps, and what two people's forms are compared by."""

from decimal import Decimal
from typing import Any, Protocol

from proposals.asks import About, Answers, AskLine, Lines, Part, Plan, Team
from proposals.canonical import fingerprint
from proposals.models import Answer, Attachment, Proposal, ProposalMember, Question

PARTS = ("about", "plan", "team", "lines", "answers", "reply")


class Rows(Protocol):
    """The rows that belong to a proposal, at hand."""

    @property
    def lines(self) -> list[AskLine]: ...
    @property
    def team(self) -> list[ProposalMember]: ...
    @property
    def answers(self) -> list[Answer]: ...
    @property
    def attachments(self) -> list[Attachment]: ...


def snapshot(proposal: Proposal, rows: Rows) -> dict[str, Any]:
    """All of it as it stands, as a version keeps it. No query beyond the call's and the agreement's."""
    return {
        "call": proposal.call.public_id,
        "agreement": proposal.agreement.number,
        "title": proposal.title,
        "purposes": list(proposal.purposes),
        "plan": proposal.plan,
        "data": proposal.data,
        "lines": [line_json(line) for line in rows.lines],
        "team": [_person(row) for row in rows.team],
        "answers": [answer_json(row) for row in rows.answers],
        "attachments": [attachment_json(row) for row in rows.attachments],
    }


def said(proposal: Proposal, part: str) -> Any:
    """One part of the form (PARTS) as it is stored, as plain values."""
    if part == "about":
        chosen = sorted(proposal.purposes)
        return {"agreement": proposal.agreement.public_id, "title": proposal.title, "purposes": chosen}
    if part == "plan":
        return {"plan": proposal.plan, "data": proposal.data}
    if part == "team":
        return [_person(row) for row in proposal.team.all()]
    if part == "lines":
        return [line_json(line) for line in ask_lines(proposal)]
    if part == "answers":
        return {row.question.public_id: plain(row.value) for row in answers_of(proposal) if not row.file_id}
    return {"reply": proposal.reply}


def as_said(part: Part) -> Any:
    """What was typed, as `said` would have it once it is kept."""
    if isinstance(part, About):
        return {"agreement": part.agreement, "title": part.title, "purposes": sorted(part.purposes)}
    if isinstance(part, Plan):
        return {"plan": part.plan, "data": part.data}
    if isinstance(part, Team):
        return [_person(row) for row in part.rows]
    if isinstance(part, Lines):
        return [line_json(line) for line in part.rows]
    if isinstance(part, Answers):
        return {row.question: plain(row.value) for row in part.rows if row.value is not None}
    return {"reply": part.text}


def plain(value: Any) -> Any:
    """An answer as JSON has it: a number in its shortest way of writing."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def answers_of(proposal: Proposal) -> list[Answer]:
    """The answers with their questions and files, in the call's order: one query."""
    return list(proposal.answers.select_related("question", "file").order_by("question__place"))


def unanswered(proposal: Proposal) -> list[Question]:
    """The questions that its call needs answered and it has no answer to, as one out of a list may have; of others
    nothing is said, nor asked. Two queries, none where the answers and the call's questions came along.
    """
    if not proposal.external_ref:
        return []
    answered = {answer.question_id for answer in proposal.answers.all()}
    return [row for row in proposal.call.questions.all() if row.is_required and row.pk not in answered]


def seen(proposal: Proposal, part: str) -> str:
    """A short mark of a part as it is stored, with what is unfinished on its page: a form carries it from when it was
    opened until it is saved.
    """
    stored, typed = said(proposal, part), proposal.unfinished.get(part)
    return fingerprint(stored if typed is None else [stored, typed])[:20]


def ask_lines(proposal: Proposal) -> list[AskLine]:
    """The request lines in the shape that was typed: one query."""
    return [
        AskLine(row.gpu_class.code, row.gpus, row.smallest_gpus, row.hours, row.window_from, row.window_until)
        for row in proposal.lines.select_related("gpu_class")
    ]


def line_json(line: AskLine) -> dict[str, Any]:
    """A line with its days as ISO text."""
    body = dict(vars(line))
    return body | {"window_from": line.window_from.isoformat(), "window_until": line.window_until.isoformat()}


def current_attachments(proposal: Proposal) -> list[Attachment]:
    """The files that it has now, oldest first: one query."""
    return list(proposal.attachments.filter(removed_at=None).order_by("pk"))


def attachment_json(row: Attachment) -> dict[str, Any]:
    """What a version remembers of a file."""
    return {
        "id": row.public_id,
        "name": row.name,
        "kind": row.kind,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
    }


def answer_json(row: Answer) -> dict[str, Any]:
    """An answer with its question, so that it can be read even after the call was changed."""
    question, value = row.question, row.value
    if isinstance(value, Attachment):
        said_value: Any = {"attachment": value.public_id, "name": value.name}
    elif row.choice is not None:
        said_value = {language: _choice(question, language, row.choice) for language in ("ko", "en")}
    else:
        said_value = plain(value)
    return {
        "question": question.public_id,
        "kind": question.kind,
        "label_ko": question.label_ko,
        "label_en": question.label_en,
        "value": said_value,
    }


def _choice(question: Any, language: str, place: int) -> str:
    choices = question.choices_en if language == "en" else question.choices_ko
    return choices[place] if place < len(choices) else str(place + 1)


def _person(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("name", "email", "part", "experience")}
