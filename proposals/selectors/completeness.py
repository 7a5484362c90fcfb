"""What a draft still lacks before it can be submitted, and how far it is, page by page of its form."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.errors import RuleBroken
from common.moments import agency_today
from proposals.asks import AskLine, check_line
from proposals.models import Answer, Attachment, Proposal, ProposalMember, Question
from proposals.selectors.contents import answers_of, ask_lines, current_attachments, snapshot

STEPS: dict[str, Promise] = {
    "about": gettext_lazy("About"),
    "plan": gettext_lazy("Plan and data"),
    "team": gettext_lazy("Team"),
    "lines": gettext_lazy("Request lines"),
    "questions": gettext_lazy("Questions of the call"),
    "attachments": gettext_lazy("Attachments"),
    "submit": gettext_lazy("Check and submit"),
}
STEP_OF = {"answers": "questions", "reply": "submit"}
"""On which page a part of the content stands, where the page has another name."""


@dataclass(frozen=True)
class Gap:
    """Something that is missing: on which page of the form (STEPS), at which field (None: the whole page)."""

    step: str
    field: str | None
    message: str


@dataclass(frozen=True)
class StepState:
    """A page of the form: `done` has nothing missing, `empty` nothing on it at all."""

    key: str
    title: str | Promise
    done: bool
    empty: bool
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Draft:
    """The rows that belong to a proposal, read once."""

    proposal: Proposal
    lines: list[AskLine]
    team: list[ProposalMember]
    questions: list[Question]
    answers: list[Answer]
    attachments: list[Attachment]

    @property
    def gaps(self) -> list[Gap]:
        """All that is missing, in the order of the form."""
        found = [*_texts(self.proposal), *_lines(self.lines), *_questions(self.questions, self.answers)]
        found += _unfinished(self.proposal)
        return sorted(found, key=lambda gap: list(STEPS).index(gap.step))

    @property
    def steps(self) -> list[StepState]:
        """The pages of the form that this call has, with what each lacks."""
        gaps = self.gaps
        full = {
            "about": bool(self.proposal.purposes),
            "plan": bool(self.proposal.plan.strip() or self.proposal.data.strip()),
            "team": bool(self.team),
            "lines": bool(self.lines),
            "questions": bool(self.answers),
            "attachments": bool(self.attachments),
        }
        states = []
        for key, title in STEPS.items():
            mine = tuple(gap for gap in gaps if gap.step == key)
            if key == "questions" and not self.questions:
                continue
            states.append(StepState(key, title, done=not mine, empty=not full.get(key, True), gaps=mine))
        return states

    @property
    def content(self) -> dict[str, Any]:
        """What a version would keep of it."""
        return snapshot(self.proposal, self)

    @property
    def percent(self) -> int:
        """How much of what is needed is there, in per cent of the pages that ask for it: 100 can be submitted."""
        asks = {"about", "plan", "lines"}
        if any(question.is_required for question in self.questions):
            asks.add("questions")
        pages = [step for step in self.steps if step.key in asks]
        return round(100 * sum(step.done for step in pages) / len(pages))


def draft_of(proposal: Proposal) -> Draft:
    """Five queries, whatever is in it."""
    return Draft(
        proposal,
        ask_lines(proposal),
        list(proposal.team.all()),
        list(proposal.call.questions.all()),
        answers_of(proposal),
        current_attachments(proposal),
    )


def _unfinished(proposal: Proposal) -> list[Gap]:
    return [
        Gap(STEP_OF.get(part, part), None, _("Something on this page is not whole yet: finish it, or take it away."))
        for part in sorted(proposal.unfinished)
    ]


def _texts(proposal: Proposal) -> list[Gap]:
    gaps = []
    if not proposal.purposes:
        gaps.append(Gap("about", "purposes", _("Choose at least one purpose.")))
    if not proposal.plan.strip():
        gaps.append(Gap("plan", "plan", _("Describe the plan: what will be done, and why so many GPUs.")))
    return gaps


def _lines(lines: list[AskLine]) -> list[Gap]:
    if not lines:
        return [Gap("lines", None, _("Ask for something: fill in at least one request line."))]
    gaps, today = [], agency_today()
    for place, line in enumerate(lines):
        try:
            check_line(line, today)
        except RuleBroken as error:
            where = _("Line %(place)s") % {"place": place + 1}
            gaps.append(Gap("lines", f"lines-{place}-{error.field}", f"{where}: {error}"))
    return gaps


def _questions(questions: list[Question], answers: list[Answer]) -> list[Gap]:
    answered = {answer.question_id for answer in answers}
    return [
        Gap("questions", question.public_id, _("Please answer: %(question)s") % {"question": question.label})
        for question in questions
        if question.is_required and question.pk not in answered
    ]
