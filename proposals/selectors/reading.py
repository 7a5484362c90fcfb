"""What one reviewer reads: a copy of the proposal with what visibility.py leaves in it, for the page and the API."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from proposals.models import Answer, Assignment, Attachment, Proposal, RequestLine, Review
from proposals.names import masked
from proposals.selectors.contents import answers_of, current_attachments
from proposals.selectors.reviewing import open_kind, steps_of
from proposals.visibility import Part, seen, step_of


@dataclass(frozen=True)
class ReadFile:
    """A file of the proposal; in a blind call under a number in place of its own name."""

    id: str
    name: str
    kind: str
    size_bytes: int


@dataclass(frozen=True)
class ReadAnswer:
    """A question of the call and what was answered."""

    question: str
    text: str


@dataclass(frozen=True)
class ReadMember:
    """Somebody of the team; no name in a blind call."""

    name: str
    part: str
    experience: str


@dataclass(frozen=True)
class OtherReview:
    """Somebody else's review, under a number or a name."""

    label: str
    review: Review

    @property
    def points(self) -> list[Any]:
        """The scores in the order of the criteria."""
        return list(self.review.scores.all())


@dataclass(frozen=True)
class ReadingCopy:
    """A proposal as a reviewer may read it."""

    parts: frozenset[Part]
    number: str
    title: str
    purposes: list[Any] = field(default_factory=list)
    plan: str = ""
    data: str = ""
    organisation: str = ""
    lines: list[RequestLine] = field(default_factory=list)
    answers: list[ReadAnswer] = field(default_factory=list)
    team: list[ReadMember] = field(default_factory=list)
    files: list[ReadFile] = field(default_factory=list)
    others: list[OtherReview] = field(default_factory=list)

    @property
    def is_blind(self) -> bool:
        """Whether the reviewer does not learn whose it is."""
        return Part.IDENTITY not in self.parts


def reading_copy(assignment: Assignment) -> ReadingCopy:
    """The proposal of an assignment (fetched with `for_reading`), for its reviewer, as the step and the call allow.

    Nothing but the title before the reviewer has declared. Seven queries.
    """
    proposal = assignment.proposal
    own_is_in = assignment.state == "done"
    parts = seen(
        "reviewer",
        step_of(proposal.state, open_kind(steps_of(proposal))),
        blind=proposal.call.blind,
        reviewers_see=proposal.call.reviewers_see,
        own_is_in=own_is_in,
    )
    team = list(proposal.team.all())
    blot = _blot(proposal, team, Part.IDENTITY not in parts)
    head = {
        "parts": parts,
        "number": proposal.number or "",
        "title": blot(proposal.title),
        "purposes": proposal.purpose_labels,
        "organisation": proposal.organisation.name if Part.IDENTITY in parts else "",
    }
    if assignment.state not in ("open", "done") or Part.CONTENT not in parts:
        shown = [ReadMember(row.name, "", "") for row in team] if Part.IDENTITY in parts else []
        return ReadingCopy(**head, team=shown)
    return ReadingCopy(
        **head,
        plan=blot(proposal.plan),
        data=blot(proposal.data),
        lines=list(proposal.lines.select_related("gpu_class")),
        answers=[_answer(row, blot) for row in answers_of(proposal)],
        team=[
            ReadMember(row.name if Part.IDENTITY in parts else "", blot(row.part), blot(row.experience)) for row in team
        ],
        files=files_for(proposal, parts),
        others=_others(assignment, parts) if Part.OTHERS in parts else [],
    )


def title_for(assignment: Assignment) -> str:
    """The title as its reviewer may read it in a list; no query with `for_reading` and the team at hand."""
    proposal = assignment.proposal
    team = list(proposal.team.all()) if proposal.call.blind else []
    return str(_blot(proposal, team, proposal.call.blind)(proposal.title))


def files_for(proposal: Proposal, parts: frozenset[Part]) -> list[ReadFile]:
    """The files, numbered in a blind call; one query."""
    rows = enumerate(current_attachments(proposal), start=1)
    return [
        ReadFile(row.public_id, row.name if Part.IDENTITY in parts else f"{place}.{row.kind}", row.kind, row.size_bytes)
        for place, row in rows
    ]


def attachment_of(assignment: Assignment, public_id: str) -> tuple[Attachment, str] | None:
    """(row, name to hand it out under) of a file that the reviewer of an opened assignment may read, or None."""
    copy = reading_copy(assignment)
    name = next((file.name for file in copy.files if file.id == public_id), None)
    row = assignment.proposal.attachments.filter(public_id=public_id, removed_at=None).first()
    return (row, name) if row is not None and name is not None else None


def for_reading(rows: Any) -> Any:
    """Assignments with what `reading_copy` looks at."""
    return rows.select_related("review", "reviewer", "proposal__call", "proposal__organisation", "proposal__created_by")


def _blot(proposal: Proposal, team: list[Any], blind: bool) -> Any:
    if not blind:
        return lambda text: text
    names = names_of(proposal, team)
    return lambda text: masked(text, names)


def names_of(proposal: Proposal, team: Iterable[Any]) -> list[str]:
    """What says whose a proposal is: its organisation's names, whoever wrote it, its team. No query of its own."""
    organisation = proposal.organisation
    names = [organisation.name_ko, organisation.name_en, proposal.created_by.name, proposal.created_by.email]
    return [name for name in [*names, *(part for row in team for part in (row.name, row.email))] if name]


def _answer(row: Answer, blot: Any) -> ReadAnswer:
    question, value = row.question, row.value
    if row.choice is not None:
        english = (get_language() or "ko").startswith("en")
        choices = question.choices_en if english else question.choices_ko
        text = choices[row.choice] if row.choice < len(choices) else str(row.choice + 1)
    elif row.yes_no is not None:
        text = _("yes") if row.yes_no else _("no")
    elif row.file_id is not None:
        text = _("see the files")
    else:
        text = f"{row.number.normalize():f}" if row.number is not None else str(value or "")
    return ReadAnswer(question.label, blot(text))


def _others(assignment: Assignment, parts: frozenset[Part]) -> list[OtherReview]:
    rows = (
        Review.objects.filter(
            assignment__proposal=assignment.proposal,
            assignment__version=assignment.version,
            assignment__state="done",
            state="submitted",
        )
        .exclude(assignment=assignment)
        .select_related("assignment__reviewer")
        .prefetch_related("scores__criterion")
        .order_by("assignment_id")
    )
    return [
        OtherReview(
            str(row.assignment.reviewer) if Part.REVIEWERS in parts else _("Reviewer %(place)s") % {"place": place},
            row,
        )
        for place, row in enumerate(rows, start=1)
    ]
