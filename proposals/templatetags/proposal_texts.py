"""How pages about proposals say moments, answers and long texts that did not change."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from proposals.models import Answer, Attachment
from proposals.rules import may_assign, may_see_ranking
from proposals.selectors.contents import answer_json, plain
from proposals.selectors.differences import given
from proposals.services.drafting import shown_moment

register = template.Library()
AROUND = 160
"""Characters of unchanged text that are shown on each side of a change."""


@register.inclusion_tag("proposals/_call_tabs.html", takes_context=True)
def call_tabs(context: dict[str, Any], tab: str) -> dict[str, Any]:
    """The pages about a call's reviews, of which the reader may open each; `tab` is the one they are on."""
    user, call = context["user"], context["call"]
    pages = [("progress", _("Progress"), "call-progress", True)]
    pages.append(("board", _("Assignments"), "call-assignments", may_assign.test(user, None)))
    pages.append(("ranking", _("Ranking"), "call-ranking", may_see_ranking.test(user, None)))
    tabs = [
        (name, label, reverse(f"proposals:{route}", args=[call.public_id])) for name, label, route, may in pages if may
    ]
    if call.blind:
        tabs.append(("files", _("Names in files"), f"{reverse('proposals:named-files')}?call={call.public_id}"))
    return {"tabs": tabs, "tab": tab}


@register.filter
def agency_moment(value: datetime | None) -> str:
    """To the second, in the agency's zone: what a cut-off is measured by."""
    return shown_moment(value) if value else "–"


@register.filter
def iso(value: datetime) -> str:
    """For scripts and <time>."""
    return value.isoformat(timespec="milliseconds")


@register.filter
def shortened(text: str) -> str:
    """The beginning and the end of a long text that did not change."""
    if len(text) <= 2 * AROUND + 40:
        return text
    return f"{text[:AROUND]} […] {text[-AROUND:]}"


@register.filter
def answer_text(answer: Answer) -> str:
    """An answer in the reader's language."""
    value: Any = answer.value
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value.name if isinstance(value, Attachment) else given(answer_json(answer)) or str(plain(value))


@register.filter
def class_name(code: str, names: Mapping[str, str]) -> str:
    """The name of a GPU class; its code where it is not among those known any more."""
    return names.get(code, code)
