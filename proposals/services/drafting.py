"""The partner's verbs before a decision: save, submit, withdraw."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from cluster.models import GpuClass
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.models import Agreement
from partners.policy import check_active
from partners.selectors import officers
from proposals.asks import MAX_LINES, AskLine, DraftContent, agency_today, check_line
from proposals.lifecycle import PROPOSAL
from proposals.models import Call, Proposal, ProposalVersion, RequestLine
from proposals.rules import may_propose
from proposals.selectors import committed, gpu_classes_of, judge
from proposals.services.numbers import next_number

EDITABLE = ("draft", "returned")
MAX_TITLE = 200


@transaction.atomic
def save_draft(
    *, actor: Any, call: Call, agreement: Agreement, content: DraftContent, proposal: Proposal | None = None
) -> Proposal:
    """Keep what was typed, as a new draft or in a draft or returned proposal. It may be incomplete.

    Forbidden; WrongState once it is under review; RuleBroken with a field (`lines.0.gpus`) for a line that
    contradicts itself.
    """
    require(actor, may_propose, agreement.organisation)
    _check_content(content, call)
    if proposal is None:
        _check_open(call)
        check_active(agreement, agency_today())
        proposal = Proposal(call=call, organisation=agreement.organisation, created_by=actor)
        verb = "proposal.draft"
    else:
        proposal = _lock(proposal)
        require(actor, may_propose, proposal.organisation)
        _check_editable(proposal)
        if agreement.organisation_id != proposal.organisation_id:
            raise RuleBroken(
                _("This agreement belongs to another organisation."), code="other_agreement", field="agreement"
            )
        verb = "proposal.edit"
    proposal.agreement = agreement
    proposal.title, proposal.purposes = " ".join(content.title.split()), list(content.purposes)
    proposal.plan, proposal.data = content.plan, content.data
    proposal.save()
    _replace_lines(proposal, content.lines)
    record(actor=actor, verb=verb, target=proposal, changes=_as_json(content))
    return proposal


@transaction.atomic
def submit(*, actor: Any, proposal: Proposal) -> Proposal:
    """Hand it in: checked whole, numbered the first time, kept as a version.

    Forbidden; InvalidTransition; RuleBroken with a field for what is missing or passes the agreement.
    """
    require(actor, may_propose, proposal.organisation)
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=proposal.agreement_id)
    proposal = _lock(proposal)
    before, now = proposal.state, timezone.now()
    proposal.state = PROPOSAL.next(proposal.state, "submit")
    if before == "draft":
        _check_open(proposal.call)  # one that was returned may come back after the cut-off
    content = content_of(proposal)
    _check_complete(content)
    _check_content(content, proposal.call)
    for place, (_used, refusal) in enumerate(judge(agreement, content.lines, committed(agreement))):
        if refusal:
            raise on_line(refusal, place)
    proposal.number = proposal.number or next_number(now)
    proposal.version += 1
    proposal.submitted_at = now
    proposal.save(update_fields=["state", "number", "version", "submitted_at"])
    ProposalVersion.objects.create(
        proposal=proposal, version=proposal.version, content=_as_json(content), submitted_by=actor, submitted_at=now
    )
    changes = {"state": [before, proposal.state], "number": proposal.number, "version": proposal.version}
    record(actor=actor, verb="proposal.submit", target=proposal, changes=changes)
    notify(recipients=officers(), event="proposal_submitted", context=told(proposal), url=proposal.get_absolute_url())
    notify(recipients=[actor], event="proposal_received", context=told(proposal), url=proposal.get_absolute_url())
    return proposal


@transaction.atomic
def withdraw(*, actor: Any, proposal: Proposal) -> Proposal:
    """Take it back before a decision. Forbidden, InvalidTransition."""
    require(actor, may_propose, proposal.organisation)
    proposal = _lock(proposal)
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, "withdraw")
    proposal.save(update_fields=["state"])
    record(actor=actor, verb="proposal.withdraw", target=proposal, changes={"state": [before, proposal.state]})
    if proposal.number:
        notify(
            recipients=officers(), event="proposal_withdrawn", context=told(proposal), url=proposal.get_absolute_url()
        )
    return proposal


def content_of(proposal: Proposal) -> DraftContent:
    """What the rows say now, in the shape that was typed."""
    lines = [
        AskLine(row.gpu_class.code, row.gpus, row.smallest_gpus, row.hours, row.window_from, row.window_until)
        for row in proposal.lines.select_related("gpu_class")
    ]
    return DraftContent(proposal.title, list(proposal.purposes), proposal.plan, proposal.data, lines)


def on_line(error: RuleBroken, place: int) -> RuleBroken:
    """The same refusal, on a field of the line at `place` (from 0): `lines.0.gpus`."""
    return RuleBroken(
        error.message,
        code=error.code,
        remedy=error.remedy,
        field=f"lines.{place}.{error.field or 'gpus'}",
        facts={**error.facts, "line": place},
    )


def told(proposal: Proposal, **more: Any) -> dict[str, Any]:
    """What a notification says about a proposal."""
    return {
        "number": proposal.number or "",
        "title": proposal.title,
        "organisation": proposal.organisation.lazy_name,
        **more,
    }


def _lock(proposal: Proposal) -> Proposal:
    return (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "call")
        .get(pk=proposal.pk)
    )


def _check_editable(proposal: Proposal) -> None:
    if proposal.state not in EDITABLE:
        raise WrongState(
            _("This proposal can no longer be changed."),
            remedy=_("Only a draft or a returned proposal can be changed."),
        )


def _check_open(call: Call) -> None:
    now = timezone.now()
    if call.published_at is None or call.published_at > now or (call.closes_at and call.closes_at <= now):
        raise RuleBroken(
            _("This call no longer takes proposals."), remedy=_("Please look for an open call."), code="call_closed"
        )


def _check_content(content: DraftContent, call: Call) -> None:
    if not content.title.strip() or len(content.title) > MAX_TITLE:
        raise RuleBroken(
            _("A proposal needs a title of at most %(most)s characters.") % {"most": MAX_TITLE},
            code="bad_title",
            field="title",
        )
    if set(content.purposes) - set(Proposal.Purpose.values):
        raise RuleBroken(_("This is not a purpose."), code="unknown_purpose", field="purposes")
    if len(content.lines) > MAX_LINES:
        raise RuleBroken(
            _("A proposal has at most %(most)s request lines.") % {"most": MAX_LINES}, code="too_many_lines"
        )
    known = set(gpu_classes_of(call).values_list("code", flat=True))
    today = agency_today()
    for place, line in enumerate(content.lines):
        try:
            if line.gpu_class not in known:
                raise RuleBroken(
                    _("This call does not offer that GPU class."), code="unknown_gpu_class", field="gpu_class"
                )
            check_line(line, today)
        except RuleBroken as error:
            raise on_line(error, place) from None


def _check_complete(content: DraftContent) -> None:
    for missing, field, message in (
        (not content.purposes, "purposes", _("Choose at least one purpose.")),
        (not content.plan.strip(), "plan", _("Describe the plan: what will be done, and why so many GPUs.")),
        (not content.lines, None, _("Ask for something: fill in at least one request line.")),
    ):
        if missing:
            raise RuleBroken(message, code="incomplete", field=field)


def _replace_lines(proposal: Proposal, lines: Iterable[AskLine]) -> None:
    wanted = list(lines)
    classes = {row.code: row for row in GpuClass.objects.filter(code__in={line.gpu_class for line in wanted})}
    proposal.lines.all().delete()
    RequestLine.objects.bulk_create(
        RequestLine(
            proposal=proposal,
            gpu_class=classes[line.gpu_class],
            gpus=line.gpus,
            smallest_gpus=line.smallest_gpus,
            hours=line.hours,
            window_from=line.window_from,
            window_until=line.window_until,
        )
        for line in wanted
    )


def _as_json(content: DraftContent) -> dict[str, Any]:
    body = asdict(content)
    for line in body["lines"]:
        line["window_from"], line["window_until"] = line["window_from"].isoformat(), line["window_until"].isoformat()
    return body
