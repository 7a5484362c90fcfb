"""Small asks are granted at once where neither the agreement nor the capacity nor the budget stands against it."""

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from audit.services import record
from common.actors import SystemActor
from common.errors import DomainError, RuleBroken
from proposals.awards import AwardAsk
from proposals.models import Call, FastLane, RequestLine
from proposals.selectors import pool_capacities, window_of
from proposals.services import decisions

FAST_LANE = SystemActor("fast-lane")
LANGUAGES = ("ko", "en")


def consider_waiting(limit: int = 100) -> int:
    """Look at every ask that waits for it; how many were granted. One that somebody looks at just now is passed by."""
    waiting = FastLane.objects.filter(outcome=FastLane.Outcome.WAITING).order_by("at")
    return sum(consider(ref) for ref in list(waiting.values_list("proposal__public_id", flat=True)[:limit]))


@transaction.atomic
def consider(proposal_ref: str) -> bool:
    """Grant a waiting ask whole, through the award's own verb, or note why not; whether it was granted.

    A repeat does nothing. What is not granted goes the ordinary way: nothing is refused here.
    """
    row = (
        FastLane.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
        .filter(proposal__public_id=proposal_ref, outcome=FastLane.Outcome.WAITING)
        .select_related("proposal__call", "proposal__organisation", "proposal__agreement")
        .first()
    )
    if row is None:
        return False
    refusals: dict[str, DomainError] = {}
    texts: dict[str, str] = {}
    for language in LANGUAGES:
        with translation.override(language):
            try:
                with transaction.atomic():
                    _grant(row)
            except DomainError as refusal:
                refusals[language], texts[language] = refusal, str(refusal)[:1000]
            else:
                break
    granted = len(refusals) < len(LANGUAGES)
    row.outcome = FastLane.Outcome.GRANTED if granted else FastLane.Outcome.ORDINARY
    if not granted:
        row.code, row.note_ko, row.note_en = refusals["ko"].code, texts["ko"], texts["en"]
    row.save()
    changes = {"outcome": ["waiting", row.outcome], "code": row.code, "version": row.version}
    record(actor=FAST_LANE, verb="proposal.fast_lane", target=row.proposal, changes=changes)
    return granted


def _grant(row: FastLane) -> None:
    """The award of all that was asked; DomainError where it does not fit."""
    proposal = row.proposal
    if proposal.state != "submitted" or proposal.version != row.version:
        raise RuleBroken(_("Somebody is dealing with it already."), code="taken_up")
    asks = [_ask(proposal.call, line) for line in proposal.lines.select_related("gpu_class")]
    decisions.award(actor=FAST_LANE, proposal=proposal, lines=asks)


def _ask(call: Call, line: RequestLine) -> AwardAsk:
    """All that a line asks for, on the pool of the call that has most room in its window."""
    pools = list(call.pools.filter(gpu_class=line.gpu_class).select_related("gpu_class"))
    days = (line.window_from, line.window_until)
    room = max(pool_capacities(pools, {days}).values(), key=lambda capacity: capacity.free, default=None)
    if room is None or room.free < line.gpus:
        raise RuleBroken(
            _("So many GPUs are not free throughout the window: %(free)s of the %(asked)s asked for.")
            % {"free": room.free if room else 0, "asked": line.gpus},
            code="no_capacity",
        )
    start, end = window_of(*days)
    return AwardAsk(line, room.pool, line.gpus, line.gpu_seconds, max(start, timezone.now()), end)
