"""The agency's verb on a call: keep it right, without taking back what was announced."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import record
from cluster.models import Pool
from common.errors import RuleBroken, WrongState
from common.permissions import require
from proposals.models import Call
from proposals.rules import may_edit_call

MAX_TITLE = 200
MAX_TEXT = 20_000
FARTHEST = timedelta(days=3653)
NOTICE = timedelta(days=7)
"""How long before it a cut-off must be announced, where a call had none."""


@dataclass(frozen=True)
class CallTerms:
    """What a call says. `closes_at` None: rolling. `pools` are what it offers."""

    title_ko: str
    title_en: str
    text_ko: str
    text_en: str
    closes_at: datetime | None
    pools: tuple[Pool, ...]


def terms_of(call: Call) -> CallTerms:
    """What it says now."""
    pools = tuple(call.pools.order_by("pk"))
    return CallTerms(call.title_ko, call.title_en, call.text_ko, call.text_en, call.closes_at, pools)


@transaction.atomic
def edit_call(*, actor: Any, call: Call, terms: CallTerms) -> Call:
    """Change a call. A draft: all of it. An open one: titles, texts, and a later cut-off; what it offers stands.

    Forbidden; WrongState once it is over; RuleBroken where an open call would be shortened or offer something else.
    """
    require(actor, may_edit_call)
    call = Call.objects.select_for_update(no_key=True).get(pk=call.pk)
    now = timezone.now()
    if is_over(call, now):
        raise WrongState(
            _("This call is over: it stays as it was answered."), code="call_over", remedy=_("Publish a new call.")
        )
    before, new = terms_of(call), _cleaned(terms)
    if is_published(call, now):
        _check_open_call(call, before, new, now)
    else:
        _check_draft(call, new, now)
    changes = _changes(before, new)
    if changes:
        call.title_ko, call.title_en, call.text_ko, call.text_en = new.title_ko, new.title_en, new.text_ko, new.text_en
        call.closes_at = new.closes_at
        call.save(update_fields=["title_ko", "title_en", "text_ko", "text_en", "closes_at"])
        call.pools.set(new.pools)
        record(actor=actor, verb="call.edit", target=call, changes=changes)
    return call


def is_published(call: Call, now: datetime) -> bool:
    """Whether partners have seen it."""
    return call.published_at is not None and call.published_at <= now


def is_over(call: Call, now: datetime) -> bool:
    """Whether it was open and no longer is."""
    return is_published(call, now) and call.closes_at is not None and call.closes_at <= now


def _cleaned(terms: CallTerms) -> CallTerms:
    texts = {name: getattr(terms, name).strip() for name in ("title_ko", "title_en", "text_ko", "text_en")}
    for name, value in texts.items():
        most = MAX_TITLE if name.startswith("title") else MAX_TEXT
        if not 0 < len(value) <= most:
            raise RuleBroken(
                _("A call has a title and a text in both languages, of at most %(most)s characters here.")
                % {"most": most},
                code="bad_text",
                field=name,
            )
    if terms.closes_at is not None and terms.closes_at > timezone.now() + FARTHEST:
        raise RuleBroken(
            _("A cut-off lies within the next ten years."),
            code="cut_off_too_late",
            remedy=_("Leave it empty for a rolling call."),
            field="closes_at",
        )
    if not terms.pools:
        raise RuleBroken(_("A call offers at least one pool."), code="no_pool", field="pools")
    pools = tuple(sorted(set(terms.pools), key=lambda pool: pool.pk))
    return CallTerms(**texts, closes_at=terms.closes_at, pools=pools)


def _check_draft(call: Call, new: CallTerms, now: datetime) -> None:
    if new.closes_at is not None and new.closes_at <= max(now, call.published_at or now):
        raise RuleBroken(
            _("The cut-off must come after now and after the publication."),
            code="cut_off_too_early",
            remedy=_("Choose a later moment, or leave it empty for a rolling call."),
            field="closes_at",
        )


def _check_open_call(call: Call, before: CallTerms, new: CallTerms, now: datetime) -> None:
    if new.pools != before.pools:
        raise RuleBroken(
            _("This call is open: what it offers stands, because proposals are being written for it."),
            code="call_is_open",
            remedy=_("Publish another call for other pools."),
            field="pools",
        )
    if new.closes_at == before.closes_at or new.closes_at is None:
        return
    earliest = max(before.closes_at or now + NOTICE, _last_submission(call) or now, now)
    if new.closes_at < earliest:
        raise RuleBroken(
            _("The cut-off of an open call is only ever moved later.")
            if before.closes_at
            else _("A rolling call gets a cut-off with at least %(days)s days of notice.") % {"days": NOTICE.days},
            code="call_shortened",
            remedy=_("Choose %(earliest)s or later.")
            % {"earliest": timezone.localtime(earliest).strftime("%Y-%m-%d %H:%M %Z")},
            field="closes_at",
            facts={"earliest": earliest.isoformat()},
        )


def _last_submission(call: Call) -> datetime | None:
    """The newest submission; whatever was handed in stays handed in in time."""
    newest: datetime | None = (
        call.proposals.filter(submitted_at__isnull=False)
        .order_by("-submitted_at")
        .values_list("submitted_at", flat=True)
        .first()
    )
    return newest


def _changes(before: CallTerms, new: CallTerms) -> dict[str, Any]:
    names = ("title_ko", "title_en", "text_ko", "text_en", "closes_at")
    found: dict[str, Any] = {
        name: [getattr(before, name), getattr(new, name)]
        for name in names
        if getattr(before, name) != getattr(new, name)
    }
    if before.pools != new.pools:
        found["pools"] = [[pool.name for pool in before.pools], [pool.name for pool in new.pools]]
    return found
