"""The capacity board's figures, and what a what-if comes to, in words."""

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from common.templatetags.bitgoeul import day, number
from reports.capacity import Verdict
from reports.selectors.board import Bucket

register = template.Library()


@register.simple_tag
def figure(bucket: Bucket, name: str, digits: int = 0) -> SafeString | str:
    """A figure; where a what-if changes it, today's and then the changed one."""
    before = number(getattr(bucket.now, name), digits)
    if bucket.changed is None or (after := number(getattr(bucket.changed, name), digits)) == before:
        return before
    return format_html(
        '<span class="board-before"><span class="visually-hidden">{} </span>{}</span> → <strong>{}</strong>',
        _("today"),
        before,
        after,
    )


@register.filter
def last_day(moment: datetime) -> str:
    """The last day of a window that ends at this moment."""
    return day(moment - timedelta(microseconds=1))


@register.simple_tag
def verdict_words(verdict: Verdict, pool_names: dict[int, str]) -> str:
    """Whether a promise fits, how much of it does, and from when all of it would."""
    ask = verdict.ask
    said = {
        "label": ask.label,
        "gpus": number(ask.gpus),
        "pool": pool_names.get(verdict.pool_id or 0, "–"),
        "first": ask.first.isoformat(),
        "last": (ask.first + timedelta(days=ask.days - 1)).isoformat(),
        "most": number(verdict.at_most),
        "fit": verdict.first_fit.isoformat() if verdict.first_fit else "–",
    }
    if verdict.pool_id is None:
        return _("%(label)s: there is no pool of this GPU class.") % said
    if verdict.fits:
        return _("%(label)s: all %(gpus)s GPUs fit on %(pool)s from %(first)s to %(last)s.") % said
    if verdict.first_fit:
        return (
            _(
                "%(label)s: in its window (%(first)s to %(last)s, %(pool)s) at most %(most)s of %(gpus)s GPUs; "
                "whole from %(fit)s."
            )
            % said
        )
    return (
        _(
            "%(label)s: in its window (%(first)s to %(last)s, %(pool)s) at most %(most)s of %(gpus)s GPUs; "
            "whole at no time within a year of it."
        )
        % said
    )
