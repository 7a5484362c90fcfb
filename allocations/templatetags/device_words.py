"""Devices in words, for pages and mail."""

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.templatetags.bitgoeul import number

register = template.Library()


@register.simple_tag
def devices_in_words(count: int, profile: str = "") -> str:
    """So many GPUs; with a MIG profile, so many instances of it. A dash for a number that nobody knows."""
    shown = number(count or None)
    if profile:
        return _("%(count)s × MIG %(profile)s") % {"count": shown, "profile": profile}
    return ngettext("%(count)s GPU", "%(count)s GPUs", count or 0) % {"count": shown}
