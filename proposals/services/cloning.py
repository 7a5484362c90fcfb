"""Copying a proposal into another call, so that nobody types last year's texts again."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken
from common.moments import agency_day, agency_today
from common.permissions import require
from partners.models import Agreement
from partners.policy import check_active
from proposals.asks import AskLine, TeamRow
from proposals.models import Answer, Call, Proposal, Question
from proposals.rules import may_propose
from proposals.selectors import draft_of, gpu_classes_of
from proposals.services import parts
from proposals.services.drafting import check_open, touch


@dataclass(frozen=True)
class Copied:
    """The new draft, and what could not come along, in words."""

    proposal: Proposal
    left_out: tuple[str, ...]


@transaction.atomic
def copy_proposal(*, actor: Any, proposal: Proposal, call: Call, agreement: Agreement) -> Copied:
    """A new draft in an open call: texts, team, request lines, and the answers to questions that the call asks, too.

    The lines begin as far ahead of today as they did of the day on which the old one was handed in (or begun), and
    keep their length. What the call does not offer or ask, and all files, stay behind.
    Forbidden; RuleBroken where the call takes no proposals or the agreement is not in force.
    """
    require(actor, may_propose, proposal.organisation)
    if agreement.organisation_id != proposal.organisation_id:
        raise RuleBroken(
            _("This agreement belongs to another organisation."), code="other_agreement", field="agreement"
        )
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=agreement.pk)
    check_open(call, timezone.now())
    check_active(agreement, agency_today())
    old = draft_of(proposal)
    new = Proposal(call=call, organisation=proposal.organisation, created_by=actor, agreement=agreement)
    new.title, new.purposes = proposal.title, list(proposal.purposes)
    new.plan, new.data, new.copied_from = proposal.plan, proposal.data, proposal
    touch(new, actor)
    new.save()
    lines, left_out = _lines(proposal, old.lines, call)
    parts.write_lines(new, lines)
    parts.write_team(new, [TeamRow(row.name, row.email, row.part, row.experience) for row in old.team])
    left_out += _answers(new, old.answers, call)
    if old.attachments:
        left_out.append(_("the attachments"))
    changes = {"from": proposal.public_id, "call": call.public_id, "lines": len(lines)}
    record(actor=actor, verb="proposal.copy", target=new, changes=changes)
    return Copied(new, tuple(left_out))


def _lines(proposal: Proposal, lines: list[AskLine], call: Call) -> tuple[list[AskLine], list[str]]:
    """The lines that the call offers, shifted in whole days so that the first begins tomorrow at the earliest."""
    known = set(gpu_classes_of(call).values_list("code", flat=True))
    left_out = [
        _("line %(place)s, because the call does not offer %(gpu_class)s")
        % {"place": place, "gpu_class": line.gpu_class}
        for place, line in enumerate(lines, start=1)
        if line.gpu_class not in known
    ]
    kept = [line for line in lines if line.gpu_class in known]
    if not kept:
        return [], left_out
    today, written = agency_today(), agency_day(proposal.submitted_at or proposal.created_at)
    first = min(line.window_from for line in kept)
    shift = max(today - written, today + timedelta(days=1) - first)
    moved = [
        AskLine(
            line.gpu_class,
            line.gpus,
            line.smallest_gpus,
            line.hours,
            line.window_from + shift,
            line.window_until + shift,
        )
        for line in kept
    ]
    return moved, left_out


def _answers(new: Proposal, answers: list[Answer], call: Call) -> list[str]:
    """Take the answers to questions of the same kind and words; a choice by its words. What stays behind, in words."""
    asked = {(question.kind, question.label_ko): question for question in call.questions.all()}
    rows, left_out = [], []
    for answer in answers:
        question = asked.get((answer.question.kind, answer.question.label_ko))
        value = _carried(answer, question) if question is not None else None
        if question is None or value is None:
            left_out.append(_("the answer to “%(question)s”") % {"question": answer.question.label})
        else:
            rows.append((question, value))
    parts.write_answers(new, rows)
    return left_out


def _carried(answer: Answer, question: Question) -> Any:
    if answer.file_id is not None:
        return None
    if answer.choice is None:
        return answer.value
    said = answer.question.choices_ko
    words = said[answer.choice] if answer.choice < len(said) else None
    return question.choices_ko.index(words) if words in question.choices_ko else None
