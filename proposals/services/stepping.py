"""The steps of a proposal under review: begun, judged one after the other, opened again."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from audit.services import record
from cluster.models import GpuClass, Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require
from notifications.services import notify
from partners.selectors import officers, operators
from proposals.lifecycle import STEP
from proposals.models import CallStep, Proposal, ProposalStep
from proposals.models.steps import IN_REVIEW
from proposals.rules import may_decide, may_judge
from proposals.selectors.reviewing import reviews_in
from proposals.services.deciding import check_stranger
from proposals.services.returning import send_back

Kind = CallStep.Kind
ORDER = (Kind.FORMAL, Kind.TECHNICAL, Kind.EXPERT, Kind.PANEL)
VERDICTS = ("pass", "fail", "return")


def begin(*, actor: Any, proposal: Proposal) -> list[ProposalStep]:
    """Make the steps that the call switched on for the version that was handed in, and open the first.

    In the transaction of whoever starts the review. A call without steps: nothing.
    """
    wanted = {row.kind: row for row in CallStep.objects.filter(call_id=proposal.call_id)}
    kinds = [kind for kind in ORDER if kind in wanted]
    steps = ProposalStep.objects.bulk_create(
        ProposalStep(
            proposal=proposal,
            version=proposal.version,
            kind=kind,
            place=place,
            owner_id=wanted[kind].owner_id,
            due_at=wanted[kind].due_at,
        )
        for place, kind in enumerate(kinds)
    )
    if steps:
        _open(actor, steps[0])
    return steps


@transaction.atomic
def judge(
    *,
    actor: Any,
    step: ProposalStep,
    verdict: str,
    note: str = "",
    gpu_class: GpuClass | None = None,
    pool: Pool | None = None,
) -> ProposalStep:
    """Say how an open step ends: `pass` opens the next one, `fail` ends the way, `return` sends it to its partner.

    Forbidden; InvalidTransition; WrongState outside a review; RuleBroken without a needed reason, for a pool of
    another class, or for an expert review that lacks reviews.
    """
    require(actor, may_judge, step)
    step = lock(step)
    check_stranger(actor, step.proposal.organisation)
    _check_verdict(step, verdict, note, gpu_class, pool)
    before = step.state
    step.state = STEP.next(step.state, verdict)
    step.closed_at, step.closed_by = timezone.now(), actor if isinstance(actor, User) else None
    step.note, step.gpu_class, step.pool = note.strip(), gpu_class, pool
    step.save(update_fields=["state", "closed_at", "closed_by", "note", "gpu_class", "pool"])
    changes: dict[str, Any] = {"step": step.kind, "state": [before, step.state], "note": step.note}
    if gpu_class or pool:
        changes |= {"gpu_class": gpu_class.code if gpu_class else "", "pool": pool.name if pool else ""}
    record(actor=actor, verb=f"step.{verdict}", target=step.proposal, changes=changes)
    if verdict == "pass":
        _open_next(actor, step)
    elif verdict == "return":
        send_back(actor=actor, proposal=step.proposal, reason=step.note)
    else:
        _tell(officers(), step, "step_failed", note=step.note)
    return step


@transaction.atomic
def reopen(*, actor: Any, step: ProposalStep, reason: str) -> ProposalStep:
    """Take a verdict back; the step after it waits again. Officers.

    Forbidden; InvalidTransition; RuleBroken without a reason, or where a later step has ended too.
    """
    require(actor, may_decide)
    if not reason.strip():
        raise RuleBroken(_("A reason is needed."), code="reason_needed", field="reason")
    step = lock(step)
    _check_in_review(step.proposal)
    later = list(
        ProposalStep.objects.select_for_update(no_key=True).filter(
            proposal=step.proposal, version=step.version, place__gt=step.place
        )
    )
    ended = next((row for row in later if row.state not in ("waiting", "open")), None)
    if ended is not None:
        raise RuleBroken(
            _("A later step has ended already: %(step)s.") % {"step": ended.get_kind_display()},
            remedy=_("Open that one again first."),
            code="later_step_ended",
        )
    for row in later:
        if row.state == "open":
            row.state = STEP.next(row.state, "shelve")
            row.save(update_fields=["state"])
    before = step.state
    step.state = STEP.next(step.state, "reopen")
    step.closed_at = step.closed_by = step.reminded_at = step.chased_at = None
    step.save(update_fields=["state", "closed_at", "closed_by", "reminded_at", "chased_at"])
    changes = {"step": step.kind, "state": [before, step.state], "reason": reason.strip()}
    record(actor=actor, verb="step.reopen", target=step.proposal, changes=changes)
    return step


def settle_experts(*, actor: Any, proposal: Proposal) -> bool:
    """Pass the expert review once enough reviews are in and nobody is still writing; whether it did.

    In the transaction of the review that came in.
    """
    step = (
        ProposalStep.objects.select_for_update(of=("self",), no_key=True)
        .select_related("proposal__call", "proposal__organisation")
        .filter(proposal=proposal, version=proposal.version, kind=Kind.EXPERT, state="open")
        .first()
    )
    if step is None:
        return False
    found = reviews_in(proposal)
    if found.submitted < proposal.call.reviews_needed or found.writing:
        return False
    step.state = STEP.next(step.state, "pass")
    step.closed_at = timezone.now()
    step.save(update_fields=["state", "closed_at"])
    changes = {"step": step.kind, "state": ["open", step.state], "reviews": found.submitted}
    record(actor=actor, verb="step.pass", target=proposal, changes=changes)
    _open_next(actor, step)
    return True


def lock(step: ProposalStep) -> ProposalStep:
    """The step's row, behind its proposal's: that order, for everybody."""
    proposal = (
        Proposal.objects.select_for_update(of=("self",), no_key=True)
        .select_related("call", "organisation", "created_by")
        .get(pk=step.proposal_id)
    )
    locked = ProposalStep.objects.select_for_update(no_key=True).get(pk=step.pk)
    locked.proposal = proposal
    return locked


def _check_in_review(proposal: Proposal) -> None:
    if proposal.state not in IN_REVIEW:
        raise WrongState(_("This proposal is not under review now."), remedy=_("Please look at its present state."))


def _check_verdict(step: ProposalStep, verdict: str, note: str, gpu_class: GpuClass | None, pool: Pool | None) -> None:
    _check_in_review(step.proposal)
    if step.version != step.proposal.version:
        raise WrongState(_("The proposal has been handed in anew since."), remedy=_("Judge its present version."))
    if verdict not in VERDICTS:
        raise RuleBroken(_("This is not a verdict."), code="unknown_verdict", field="verdict")
    STEP.next(step.state, verdict)
    if not note.strip() and (verdict != "pass" or step.kind == Kind.PANEL):
        message = _("Write down what the panel found.") if step.kind == Kind.PANEL else _("A reason is needed.")
        raise RuleBroken(message, code="reason_needed", field="note")
    if step.kind == Kind.TECHNICAL and verdict == "pass" and pool is None:
        raise RuleBroken(_("Say in which pool it can run."), code="pool_needed", field="pool")
    if pool is not None and gpu_class is not None and pool.gpu_class_id != gpu_class.pk:
        raise RuleBroken(_("This pool has GPUs of another class."), code="other_class", field="pool")
    if step.kind == Kind.EXPERT and verdict == "pass":
        found, needed = reviews_in(step.proposal).submitted, step.proposal.call.reviews_needed
        if found < needed:
            raise RuleBroken(
                _("%(found)s of %(needed)s reviews are in.") % {"found": found, "needed": needed},
                remedy=_("Assign more reviewers, or wait for those who were asked."),
                code="reviews_missing",
                facts={"found": found, "needed": needed},
            )


def _open_next(actor: Any, step: ProposalStep) -> None:
    after = (
        ProposalStep.objects.select_for_update(of=("self",), no_key=True)
        .select_related("owner")
        .filter(proposal_id=step.proposal_id, version=step.version, place__gt=step.place, state="waiting")
        .order_by("place")
        .first()
    )
    if after is not None:
        after.proposal = step.proposal
        _open(actor, after)


def _open(actor: Any, step: ProposalStep) -> None:
    step.state = STEP.next(step.state, "open")
    step.opened_at = timezone.now()
    step.save(update_fields=["state", "opened_at"])
    record(actor=actor, verb="step.open", target=step.proposal, changes={"step": step.kind})
    # Without an owner: officers see it in their queue, operators have to be told.
    if step.owner:
        takers = [step.owner]
    else:
        takers = list(operators()) if step.kind == Kind.TECHNICAL else []
    if others := [person for person in takers if person != actor]:
        _tell(others, step, "step_opened")


def _tell(people: Any, step: ProposalStep, event: str, **more: Any) -> None:
    proposal = step.proposal
    context = {
        "number": proposal.number or "",
        "title": proposal.title,
        "step": Kind(step.kind).label,
        "due": step.due_at,
        **more,
    }
    notify(recipients=people, event=event, context=context, url=step.get_absolute_url())
