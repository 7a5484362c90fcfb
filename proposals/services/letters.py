"""Letters: made of the agency's texts, kept as they were sent, and the texts themselves changed."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.services import record
from common.errors import RuleBroken
from common.moments import agency_day
from common.overtaken import Difference, SavedMeanwhile
from common.permissions import require
from common.quantities import seconds_to_hours
from common.texts import composed, one_line
from proposals.letter_texts import PLACES, STANDARD, filled, unknown_places
from proposals.models import Appeal, Decision, DecisionLetter, LetterKind, LetterTemplate
from proposals.rules import may_decide
from proposals.services.deciding import person

FIELDS = ("subject_ko", "body_ko", "subject_en", "body_en")
MOST = {"subject_ko": 300, "subject_en": 300, "body_ko": 20_000, "body_en": 20_000}


def text_of(kind: str) -> LetterTemplate:
    """The agency's text of a kind of letter; a row that is not saved (version 0) where it has none of its own."""
    own = LetterTemplate.objects.filter(kind=kind).select_related("changed_by").first()
    return own or LetterTemplate(kind=kind, version=0, **dict(zip(FIELDS, STANDARD[kind], strict=True)))


@transaction.atomic
def change_text(*, actor: Any, kind: str, texts: dict[str, str], version: int) -> LetterTemplate:
    """Save the agency's own text of a kind of letter. `version` is the one that was opened (0: none of its own).

    Forbidden; SavedMeanwhile; RuleBroken (field) for an empty or too long text, or a place that there is not.
    """
    require(actor, may_decide)
    if kind not in STANDARD:
        raise RuleBroken(_("There is no such letter."), code="unknown_letter", field="kind")
    texts = {name: _clean(name, texts[name]) for name in FIELDS}
    LetterTemplate.objects.get_or_create(
        kind=kind,
        defaults={**dict(zip(FIELDS, STANDARD[kind], strict=True)), "version": 0, "changed_by": person(actor)},
    )
    row = (
        LetterTemplate.objects.select_for_update(of=("self",), no_key=True).select_related("changed_by").get(kind=kind)
    )
    if row.version != version:
        found = [Difference(LetterTemplate._meta.get_field(n).verbose_name, getattr(row, n), texts[n]) for n in FIELDS]  # type: ignore[union-attr]
        raise SavedMeanwhile(who=row.changed_by, version=row.version, differences=found)
    before = {name: getattr(row, name) for name in FIELDS}
    for name, text in texts.items():
        setattr(row, name, text)
    row.version, row.changed_by = row.version + 1, person(actor)
    row.save()
    changes = {name: [before[name], texts[name]] for name in FIELDS if before[name] != texts[name]}
    record(actor=actor, verb="letter.change", target=row, changes={"kind": kind, "version": row.version, **changes})
    return row


def send(*, decision: Decision, kind: str, awards: list[Any] | None = None) -> DecisionLetter:
    """Write the letter of a decision and keep it, in the caller's transaction; the partner's notice leads to it."""
    text = text_of(kind)
    said = {language: values_of(decision, language, awards or []) for language in ("ko", "en")}
    return DecisionLetter.objects.create(
        proposal=decision.proposal,
        decision=decision,
        kind=kind,
        template_version=text.version,
        **{name: filled(getattr(text, name), said[name[-2:]]) for name in FIELDS},
    )


def preview(texts: dict[str, str]) -> dict[str, str]:
    """The four texts with examples in their places: what a letter of them would look like. RuleBroken as in saving."""
    clean = {name: _clean(name, texts[name]) for name in FIELDS}
    return {name: filled(text, _examples(name[-2:])) for name, text in clean.items()}


def values_of(decision: Decision, language: str, awards: list[Any]) -> dict[str, str]:
    """What stands in the places of a letter about a decision; `awards` are its lines as they were given."""
    proposal, call = decision.proposal, decision.proposal.call
    with translation.override(language):
        lines = list(proposal.lines.all())
        return {
            "number": proposal.number or "",
            "title": proposal.title,
            "organisation": str(proposal.organisation.name),
            "call": call.title,
            "date": _day(timezone.now()),
            "reason": decision.reason,
            "asked_gpus": _whole(sum(line.gpus for line in lines)),
            "asked_gpu_hours": _hours(sum(line.gpu_seconds for line in lines)),
            "awarded_gpus": _whole(sum(one.gpus for one in awards)),
            "awarded_gpu_hours": _hours(sum(one.gpu_seconds for one in awards)),
            "awards": "\n".join([*map(_line, awards), *_held_back(call.held_back_percent if awards else 0)]),
            "answer_by": _moment(_answer_by(decision)),
            "appeal": _appeal(used=Appeal.objects.filter(proposal=proposal).exists()),
            "office": settings.SITE_NAME,
        }


def _appeal(*, used: bool) -> str:
    """How one may appeal; a proposal may be appealed for once."""
    if used:
        return _("The one appeal that is possible has been made, so this decision is final.")
    until = _day(timezone.now() + timedelta(days=settings.APPEAL_DAYS))
    return _("You may appeal against this decision once, by %(until)s; another officer will look at it.") % {
        "until": until
    }


def _answer_by(decision: Decision) -> datetime | None:
    if decision.answer_by or decision.kind != Decision.Kind.EXPIRE:
        return decision.answer_by
    award = decision.proposal.decisions.filter(kind=Decision.Kind.AWARD).first()
    return award.answer_by if award else None


def _line(one: Any) -> str:
    return ngettext(
        "%(gpu)s (%(pool)s): %(gpus)s GPU, %(hours)s GPU-hours, %(first)s to %(last)s",
        "%(gpu)s (%(pool)s): %(gpus)s GPUs, %(hours)s GPU-hours, %(first)s to %(last)s",
        one.gpus,
    ) % {
        "gpu": one.pool.gpu_class.name,
        "pool": one.pool.name,
        "gpus": _whole(one.gpus),
        "hours": _hours(one.gpu_seconds),
        "first": _day(one.window_from),
        "last": _day(one.window_until - timedelta(microseconds=1)),
    }


def _held_back(percent: int) -> list[str]:
    """What is not granted at once, in a line; nothing where all is."""
    text = _(
        "Of the awarded GPU-hours %(percent)s %% are held back until a progress report of the project is accepted."
    )
    return [text % {"percent": percent}] if percent else []


def _clean(name: str, text: str) -> str:
    text = one_line(text) if name.startswith("subject") else composed(text).strip()
    if not 0 < len(text) <= MOST[name]:
        raise RuleBroken(
            _("This needs a text of at most %(most)s characters.") % {"most": MOST[name]}, code="bad_text", field=name
        )
    if unknown := unknown_places(text):
        raise RuleBroken(
            _("There is no place called %(names)s.") % {"names": ", ".join(f"{{{each}}}" for each in unknown)},
            remedy=_("These can be used: %(names)s.") % {"names": ", ".join(f"{{{each}}}" for each in PLACES)},
            code="unknown_place",
            field=name,
        )
    return text


def _examples(language: str) -> dict[str, str]:
    """Made up, and recognisable as such."""
    now = timezone.now()
    with translation.override(language):
        return {
            "number": "2026-0000",
            "title": _("An example of a title"),
            "organisation": _("An example of an organisation"),
            "call": _("An example of a call"),
            "date": _day(now),
            "reason": _("An example of a reason."),
            "asked_gpus": _whole(16),
            "asked_gpu_hours": _hours(3_600 * 1_600),
            "awarded_gpus": _whole(8),
            "awarded_gpu_hours": _hours(3_600 * 800),
            "awards": ngettext(
                "%(gpu)s (%(pool)s): %(gpus)s GPU, %(hours)s GPU-hours, %(first)s to %(last)s",
                "%(gpu)s (%(pool)s): %(gpus)s GPUs, %(hours)s GPU-hours, %(first)s to %(last)s",
                8,
            )
            % {
                "gpu": "NVIDIA H100",
                "pool": "h100",
                "gpus": _whole(8),
                "hours": _hours(3_600 * 800),
                "first": _day(now),
                "last": _day(now + timedelta(days=30)),
            },
            "answer_by": _moment(now + timedelta(days=14)),
            "appeal": _appeal(used=False),
            "office": settings.SITE_NAME,
        }


def kind_of_award(less: bool) -> str:
    """Which letter an award gets."""
    return LetterKind.PARTIAL if less else LetterKind.AWARD


def _day(moment: datetime) -> str:
    return agency_day(moment).isoformat()


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return "–"
    return timezone.localtime(moment, timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M %Z")


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)


def _whole(value: int) -> str:
    return number_format(value, 0, force_grouping=True)
