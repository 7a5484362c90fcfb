"""Decisions before they are said: prepared, changed, approved by a second person, discarded. See releasing.py."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.services import record
from common.errors import RuleBroken, WrongState
from common.overtaken import Difference, SavedMeanwhile
from common.permissions import require
from common.quantities import seconds_to_hours
from common.texts import one_line
from proposals.awards import AwardAsk
from proposals.lifecycle import PREPARED, PROPOSAL
from proposals.models import PreparedDecision, PreparedLine, Proposal
from proposals.rules import may_decide
from proposals.services import awarding, second
from proposals.services.deciding import bounded, check_stranger, lock, needed

Kind = PreparedDecision.Kind
OPEN = ("prepared", "approved")
MOST_OVERRIDE = 1_000


@transaction.atomic
def prepare(
    *,
    actor: Any,
    proposal: Proposal,
    kind: str,
    lines: Iterable[AwardAsk] = (),
    reason: str = "",
    override_reason: str = "",
    version: int = 0,
) -> PreparedDecision:
    """Prepare what is going to be decided, or change it; an approval that it had is void then.

    `version` is the one that was open on the form, 0 where nothing was prepared. Nobody but the agency learns of it.
    Forbidden; InvalidTransition where this cannot follow the proposal's state; SavedMeanwhile; RuleBroken (fields
    `lines.N.<field>`, `reason`), also where agreement, pools or budget would not let it be awarded now; they are asked
    again when it is released.
    """
    require(actor, may_decide)
    proposal, lines = lock(proposal), list(lines)
    PROPOSAL.next(proposal.state, kind)
    check_stranger(actor, proposal.organisation)
    if kind == Kind.DECLINE:
        second.check_refusers(proposal, [actor])
    reason, override_reason = _checked(proposal, kind, lines, reason, override_reason)
    row = proposal.prepared.filter(state__in=OPEN).select_related("prepared_by").first()
    if (row.version if row else 0) != version:
        raise _overtaken(row, kind, lines, reason, override_reason)
    if kind == Kind.AWARD:
        awarding.check_as_things_stand(proposal, lines, override_reason)
    row = lock_prepared(row) if row else PreparedDecision(proposal=proposal, version=0)
    before = described(row)
    row.kind, row.reason, row.override_reason = kind, reason, override_reason
    row.version += 1
    row.prepared_by, row.prepared_at = actor, timezone.now()
    row.approved_by = row.approved_at = None
    row.state = PREPARED.next(row.state, "edit")
    row.save()
    _write_lines(row, lines)
    changes = {"proposal": proposal.public_id, "version": row.version, "before": before, "after": described(row)}
    record(actor=actor, verb="prepared.edit", target=row, changes=changes)
    return row


@transaction.atomic
def prepare_declines(*, actor: Any, proposals: Iterable[Proposal], reason: str) -> list[PreparedDecision]:
    """Prepare to decline these, all with one reason. All of them or none: Forbidden, InvalidTransition, RuleBroken
    naming the first that already has something else prepared.
    """
    require(actor, may_decide)
    made = []
    for proposal in sorted(proposals, key=lambda each: each.pk):
        if proposal.prepared.filter(state__in=OPEN).exists():
            raise RuleBroken(
                _("Something is prepared for the proposal %(number)s already.") % {"number": proposal.number},
                remedy=_("Change or discard that, or leave this proposal out."),
                code="prepared_already",
                facts={"proposal": proposal.public_id},
            )
        made.append(prepare(actor=actor, proposal=proposal, kind=Kind.DECLINE, reason=reason))
    return made


@transaction.atomic
def approve(*, actor: Any, prepared: PreparedDecision, version: int) -> PreparedDecision:
    """The second person says yes to the version that they read.

    Forbidden; InvalidTransition; WrongState where it was changed since; RuleBroken for whoever prepared it.
    """
    require(actor, may_decide)
    row = lock_prepared(prepared)
    before = row.state
    row.state = PREPARED.next(row.state, "approve")
    second.check_other(actor, [row.prepared_by])
    check_stranger(actor, row.proposal.organisation)
    if row.kind == Kind.DECLINE:
        second.check_refusers(row.proposal, [actor])
    if row.version != version:
        raise WrongState(
            _("%(who)s changed this after you opened it.") % {"who": row.prepared_by},
            remedy=_("Please read it again, and approve it then."),
            code="overtaken",
            facts={"version": row.version},
        )
    row.approved_by, row.approved_at = actor, timezone.now()
    row.save(update_fields=["state", "approved_by", "approved_at"])
    changes = {"state": [before, row.state], "version": row.version, "prepared_by": row.prepared_by.email}
    record(actor=actor, verb="prepared.approve", target=row, changes=changes)
    return row


@transaction.atomic
def discard(*, actor: Any, prepared: PreparedDecision) -> PreparedDecision:
    """It is not going to be said. Forbidden, InvalidTransition."""
    require(actor, may_decide)
    return _discard(actor, lock_prepared(prepared))


def discard_open(*, actor: Any, proposal: Proposal) -> None:
    """The proposal was decided, or sent back, by other means: what was prepared is void. The caller's transaction."""
    for row in proposal.prepared.filter(state__in=OPEN):
        _discard(actor, lock_prepared(row))


def lock_prepared(prepared: PreparedDecision) -> PreparedDecision:
    """The row, locked; its proposal is locked before it by whoever changes both."""
    rows = PreparedDecision.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related(
        "proposal__call", "proposal__organisation", "proposal__agreement", "prepared_by", "approved_by"
    ).get(pk=prepared.pk)


def asks_of(prepared: PreparedDecision) -> list[AwardAsk]:
    """Its lines in the shape that an award takes: one query unless they were fetched."""
    return [
        AwardAsk(
            line.request,
            line.pool,
            line.gpus,
            line.gpu_seconds,
            line.window_from,
            line.window_until,
            line.guaranteed_gpus,
        )
        for line in prepared.lines.select_related("request", "pool__gpu_class")
    ]


def described(row: PreparedDecision) -> dict[str, Any]:
    """Its content for the audit log; empty where it is not saved yet."""
    if row.pk is None:
        return {}
    lines = [ask.logged for ask in asks_of(row)]
    return {"kind": row.kind, "reason": row.reason, "override_reason": row.override_reason, "lines": lines}


def _discard(actor: Any, row: PreparedDecision) -> PreparedDecision:
    before, row.state = row.state, PREPARED.next(row.state, "discard")
    row.save(update_fields=["state"])
    record(actor=actor, verb="prepared.discard", target=row, changes={"state": [before, row.state]})
    return row


def _checked(
    proposal: Proposal, kind: str, lines: list[AwardAsk], reason: str, override_reason: str
) -> tuple[str, str]:
    if kind != Kind.AWARD:
        return needed(reason), ""
    asked = {line.pk: line for line in proposal.lines.all()}
    awarding.check_shape(asked, lines)
    override_reason = one_line(override_reason)
    if len(override_reason) > MOST_OVERRIDE:
        raise RuleBroken(
            _("This needs a text of at most %(most)s characters.") % {"most": MOST_OVERRIDE},
            code="text_too_long",
            field="override_reason",
        )
    if awarding.is_less(asked, lines):
        return needed(reason, _("Less is awarded than was asked for, so a reason is needed.")), override_reason
    return bounded(reason), override_reason


def _write_lines(row: PreparedDecision, lines: list[AwardAsk]) -> None:
    row.lines.all().delete()
    PreparedLine.objects.bulk_create(
        PreparedLine(prepared=row, **ask.columns, guaranteed_gpus=ask.guaranteed_gpus)
        for ask in (lines if row.kind == Kind.AWARD else [])
    )


def _overtaken(
    row: PreparedDecision | None, kind: str, lines: list[AwardAsk], reason: str, override_reason: str
) -> WrongState:
    if row is None:
        return WrongState(
            _("What was prepared here was released or discarded meanwhile."),
            remedy=_("Please look at the proposal as it is now, then save again."),
            code="overtaken",
            facts={"version": 0},
        )
    stored = asks_of(row)
    return SavedMeanwhile(
        who=row.prepared_by,
        version=row.version,
        differences=[
            Difference(_("Decision"), str(row.get_kind_display()), str(Kind(kind).label)),
            Difference(_("Reason"), row.reason, reason),
            Difference(_("Why the bound is passed"), row.override_reason, override_reason),
            Difference(_("Lines"), _lines_text(stored), _lines_text(lines)),
        ],
    )


def _lines_text(lines: list[AwardAsk]) -> str:
    return "\n".join(
        ngettext(
            "%(pool)s: %(gpus)s GPU, %(hours)s GPU-hours, %(first)s to %(last)s",
            "%(pool)s: %(gpus)s GPUs, %(hours)s GPU-hours, %(first)s to %(last)s",
            ask.gpus,
        )
        % {
            "pool": ask.pool.name,
            "gpus": ask.gpus,
            "hours": number_format(seconds_to_hours(ask.gpu_seconds), 2, force_grouping=True),
            "first": ask.as_line.window_from.isoformat(),
            "last": ask.as_line.window_until.isoformat(),
        }
        for ask in lines
    )
