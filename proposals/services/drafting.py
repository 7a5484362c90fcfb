"""The partner's verbs before a decision: save, submit, withdraw. Pages save part by part: services/sections.py."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.moments import agency_today
from common.permissions import require
from notifications.services import notify
from partners.models import Agreement
from partners.policy import check_active
from partners.selectors import officers
from proposals.asks import DraftContent
from proposals.canonical import fingerprint
from proposals.lifecycle import PROPOSAL
from proposals.models import Call, Proposal, ProposalVersion
from proposals.rules import may_propose
from proposals.selectors import Draft, committed, draft_of, judge
from proposals.services import fast_lane, searching
from proposals.services.eligibility import check_may_propose, check_size
from proposals.services.numbers import next_number
from proposals.services.parts import (
    MAX_DATA,
    MAX_PLAN,
    MAX_REPLY,
    check_lines,
    check_purposes,
    clean_answers,
    clean_team,
    clean_text,
    clean_title,
    on_line,
    write_answers,
    write_lines,
    write_team,
)

EDITABLE = ("draft", "returned")

__all__ = ["EDITABLE", "check_editable", "check_open", "lock", "on_line", "save_draft", "submit", "told", "withdraw"]


@transaction.atomic
def save_draft(
    *,
    actor: Any,
    call: Call,
    agreement: Agreement,
    content: DraftContent,
    proposal: Proposal | None = None,
    revision: int | None = None,
) -> Proposal:
    """Keep what was typed, as a new draft or in a draft or returned proposal. It may be incomplete.

    Forbidden; WrongState once it is under review, or where `revision` is given and somebody has saved since;
    RuleBroken with a field (`lines.0.gpus`) for a line that contradicts itself.
    """
    require(actor, may_propose, agreement.organisation)
    title = clean_title(content.title)
    check_purposes(content.purposes)
    check_lines(content.lines, call)
    verb = "proposal.draft" if proposal is None else "proposal.edit"
    if proposal is None:
        check_open(call, timezone.now())
        check_active(agreement, agency_today())
        proposal = Proposal(call=call, organisation=agreement.organisation, created_by=actor)
    else:
        proposal = lock(proposal)
        require(actor, may_propose, proposal.organisation)
        check_editable(proposal)
        _check_revision(proposal, revision)
        check_agreement(proposal, agreement)
    proposal.agreement = agreement
    proposal.title, proposal.purposes = title, list(dict.fromkeys(content.purposes))
    proposal.plan = clean_text(content.plan, MAX_PLAN, "plan")
    proposal.data = clean_text(content.data, MAX_DATA, "data")
    if content.reply is not None:
        proposal.reply = clean_text(content.reply, MAX_REPLY, "reply")
    written = {"about", "plan", "lines"} | {
        name for name in ("team", "answers", "reply") if getattr(content, name) is not None
    }
    proposal.unfinished = {part: typed for part, typed in proposal.unfinished.items() if part not in written}
    touch(proposal, actor)
    proposal.save()
    write_lines(proposal, content.lines)
    if content.team is not None:
        write_team(proposal, clean_team(content.team))
    if content.answers is not None:
        write_answers(proposal, clean_answers(content.answers, list(call.questions.all())))
    record(actor=actor, verb=verb, target=proposal, changes=asdict(content))
    return proposal


@transaction.atomic
def submit(*, actor: Any, proposal: Proposal) -> Proposal:
    """Hand it in: checked whole, numbered the first time, kept as a version.

    The moment that counts is when the server began with it, before it waited for anybody.
    Forbidden; InvalidTransition; RuleBroken with a field for what is missing or passes the agreement.
    """
    now = timezone.now()
    require(actor, may_propose, proposal.organisation)
    agreement = Agreement.objects.select_for_update(no_key=True).get(pk=proposal.agreement_id)
    proposal = lock(proposal)
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, "submit")
    if before == "draft":
        check_open(proposal.call, now)  # one that was returned may come back after the cut-off
        check_may_propose(proposal.call, proposal.organisation, but=proposal)
    draft = draft_of(proposal)
    check_lines(draft.lines, proposal.call)
    for gap in draft.gaps:
        raise RuleBroken(gap.message, code="incomplete", field=gap.field, facts={"step": gap.step})
    gpu_seconds = sum(line.gpu_seconds for line in draft.lines)
    check_size(proposal.call, gpu_seconds)
    for place, (_used, refusal) in enumerate(judge(agreement, draft.lines, committed(agreement))):
        if refusal:
            raise on_line(refusal, place)
    proposal.number = proposal.number or next_number(now)
    proposal.version += 1
    proposal.submitted_at = now
    version = _keep_version(actor, draft, now)
    proposal.reply = ""
    proposal.save(update_fields=["state", "number", "version", "submitted_at", "reply"])
    changes = {
        "state": [before, proposal.state],
        "number": proposal.number,
        "version": proposal.version,
        "sha256": version.sha256,
    }
    record(actor=actor, verb="proposal.submit", target=proposal, changes=changes)
    fast_lane.enter(proposal, gpu_seconds)
    _tell(actor, proposal, version)
    return proposal


@transaction.atomic
def withdraw(*, actor: Any, proposal: Proposal) -> Proposal:
    """Take it back before a decision. Forbidden, InvalidTransition."""
    require(actor, may_propose, proposal.organisation)
    proposal = lock(proposal)
    before = proposal.state
    proposal.state = PROPOSAL.next(proposal.state, "withdraw")
    proposal.save(update_fields=["state"])
    record(actor=actor, verb="proposal.withdraw", target=proposal, changes={"state": [before, proposal.state]})
    if proposal.number:
        notify(
            recipients=officers(), event="proposal_withdrawn", context=told(proposal), url=proposal.get_absolute_url()
        )
    return proposal


def told(proposal: Proposal, **more: Any) -> dict[str, Any]:
    """What a notification says about a proposal."""
    return {
        "number": proposal.number or "",
        "title": proposal.title,
        "organisation": proposal.organisation.lazy_name,
        **more,
    }


def lock(proposal: Proposal) -> Proposal:
    """The proposal as it stands, kept from everybody else until the transaction ends."""
    return (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "call", "agreement")
        .get(pk=proposal.pk)
    )


def touch(proposal: Proposal, actor: Any) -> None:
    """Note who saves, and that the rest of the world's copies are old; the caller saves the row."""
    proposal.revision += 1
    proposal.edited_at, proposal.edited_by = timezone.now(), actor


def check_editable(proposal: Proposal) -> None:
    """WrongState once it is neither a draft nor returned."""
    if proposal.state not in EDITABLE:
        raise WrongState(
            _("This proposal can no longer be changed."),
            remedy=_("Only a draft or a returned proposal can be changed."),
        )


def check_open(call: Call, now: datetime) -> None:
    """RuleBroken where the call takes no proposals at that moment."""
    if call.closes_at and call.closes_at <= now and call.published_at and call.published_at <= now:
        raise RuleBroken(
            _("This call no longer takes proposals: the cut-off was %(cut_off)s, and it is %(now)s.")
            % {"cut_off": shown_moment(call.closes_at), "now": shown_moment(now)},
            remedy=_("Your draft is kept: copy it into an open call."),
            code="call_closed",
            facts={"cut_off": call.closes_at.isoformat(), "now": now.isoformat()},
        )
    if call.published_at is None or call.published_at > now:
        raise RuleBroken(
            _("This call takes no proposals yet."), remedy=_("Please look for an open call."), code="call_closed"
        )


def check_agreement(proposal: Proposal, agreement: Agreement) -> None:
    """RuleBroken where the agreement is not of the proposal's organisation."""
    if agreement.organisation_id != proposal.organisation_id:
        raise RuleBroken(
            _("This agreement belongs to another organisation."), code="other_agreement", field="agreement"
        )


def _check_revision(proposal: Proposal, revision: int | None) -> None:
    if revision is not None and revision != proposal.revision:
        raise WrongState(
            _("Somebody has saved this proposal since you read it."),
            code="overtaken",
            remedy=_("Read it again, and save what you want to change in it."),
            facts={"revision": proposal.revision},
        )


def _keep_version(actor: Any, draft: Draft, now: datetime) -> ProposalVersion:
    content, proposal = draft.content, draft.proposal
    version = ProposalVersion.objects.create(
        proposal=proposal,
        version=proposal.version,
        content=content,
        sha256=fingerprint(content),
        reply=proposal.reply,
        submitted_by=actor,
        submitted_at=now,
    )
    version.attachments.set(draft.attachments)
    if proposal.call.blind:
        searching.search_again(version)
    return version


def _tell(actor: Any, proposal: Proposal, version: ProposalVersion) -> None:
    url = proposal.get_absolute_url()
    notify(recipients=officers(), event="proposal_submitted", context=told(proposal, reply=version.reply), url=url)
    receipt = told(proposal, sha256=version.sha256, at=shown_moment(version.submitted_at))
    notify(recipients=[actor], event="proposal_received", context=receipt, url=f"{url}receipt/")


def shown_moment(moment: datetime) -> str:
    """`2026-11-23 14:00:00 KST`, in the agency's zone whatever the reader's: what a cut-off is measured by."""
    return moment.astimezone(timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M:%S %Z")
