"""Saving one page of the form. Pages save by themselves while somebody types, so what is unchanged leaves no trace."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.permissions import require
from common.texts import composed
from partners.models import Agreement
from proposals.asks import About, Answers, GivenAnswer, Lines, Part, Plan, Reply, Team
from proposals.canonical import fingerprint
from proposals.models import Proposal
from proposals.rules import may_propose
from proposals.selectors import as_said, said, seen
from proposals.services import parts
from proposals.services.drafting import check_editable, lock, shown_moment, touch

NAMES: dict[type, str] = {
    About: "about",
    Plan: "plan",
    Team: "team",
    Lines: "lines",
    Answers: "answers",
    Reply: "reply",
}


class Overtaken(WrongState):
    """Somebody else has saved the same page since it was opened. `stored` and `typed` are the two contents."""

    code = "overtaken"

    def __init__(self, proposal: Proposal, stored: Any, typed: Any) -> None:
        self.stored, self.typed = stored, typed
        who = str(proposal.edited_by) if proposal.edited_by else _("somebody")
        super().__init__(
            _("%(who)s saved this page at %(when)s, after you opened it.")
            % {"who": who, "when": shown_moment(proposal.edited_at) if proposal.edited_at else "–"},
            remedy=_("Nothing you typed is lost. Look at what differs, then save again to keep your text."),
            code="overtaken",
        )


@transaction.atomic
def save_part(*, actor: Any, proposal: Proposal, part: Part, opened: str | None = None, form: str = "") -> Proposal:
    """Keep one page of a draft or returned proposal, before and after the cut-off. It may be incomplete.

    `opened` is the mark (selectors.seen) of the page when it was opened; None: whatever is there is replaced. `form`
    names the open form, so that saving by itself and the Save button of one form never stand in each other's way.
    Forbidden; WrongState once it is under review; Overtaken; RuleBroken with the field.
    """
    require(actor, may_propose, proposal.organisation)
    proposal = lock(proposal)
    check_editable(proposal)
    name, part = NAMES[type(part)], _cleaned(proposal, part)
    stored, typed = said(proposal, name), as_said(part)
    if typed == stored and name not in proposal.unfinished:
        return proposal
    if opened is not None and opened != seen(proposal, name) and not (form and form == proposal.edited_form):
        raise Overtaken(proposal, stored, typed)
    _write(proposal, part)
    proposal.unfinished = {key: rows for key, rows in proposal.unfinished.items() if key != name}
    touch(proposal, actor)
    proposal.edited_form = form[:40]
    proposal.save()
    changes = {"part": name, "sha256": fingerprint(typed), "revision": proposal.revision}
    record(actor=actor, verb="proposal.edit", target=proposal, changes=changes)
    return proposal


def _cleaned(proposal: Proposal, part: Part) -> Part:
    if isinstance(part, About):
        parts.check_purposes(part.purposes)
        return About(part.agreement, parts.clean_title(part.title), tuple(dict.fromkeys(part.purposes)))
    if isinstance(part, Plan):
        plan = parts.clean_text(part.plan, parts.MAX_PLAN, "plan")
        return Plan(plan, parts.clean_text(part.data, parts.MAX_DATA, "data"))
    if isinstance(part, Team):
        return Team(tuple(parts.clean_team(part.rows)))
    if isinstance(part, Lines):
        parts.check_lines(list(part.rows), proposal.call)
        return part
    if isinstance(part, Answers):
        given = parts.clean_answers(part.rows, list(proposal.call.questions.all()))
        return Answers(tuple(_answer(question, value) for question, value in given))
    return Reply(parts.clean_text(composed(part.text), parts.MAX_REPLY, "reply"))


def _answer(question: Any, value: Any) -> Any:
    return GivenAnswer(question.public_id, value)


def _write(proposal: Proposal, part: Part) -> None:
    """Into the row (the caller saves it) and its rows."""
    if isinstance(part, About):
        proposal.title, proposal.purposes = part.title, list(part.purposes)
        if part.agreement != proposal.agreement.public_id:
            proposal.agreement = _agreement(proposal, part.agreement)
    elif isinstance(part, Plan):
        proposal.plan, proposal.data = part.plan, part.data
    elif isinstance(part, Team):
        parts.write_team(proposal, list(part.rows))
    elif isinstance(part, Lines):
        parts.write_lines(proposal, part.rows)
    elif isinstance(part, Answers):
        questions = list(proposal.call.questions.all())
        parts.write_answers(proposal, parts.clean_answers(part.rows, questions))
    else:
        proposal.reply = part.text


def _agreement(proposal: Proposal, public_id: str) -> Agreement:
    agreement = Agreement.objects.filter(public_id=public_id, organisation=proposal.organisation_id).first()
    if agreement is None:  # one of another organisation is none either: nobody learns here which there are
        raise RuleBroken(_("There is no such agreement."), code="unknown_agreement", field="agreement")
    return agreement
