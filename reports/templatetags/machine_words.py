"""What happened to a machine, in words. A kind that has none is shown as its code."""

from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

register = template.Library()

XIDS = {
    13: gettext_lazy("a program's memory access failed"),
    31: gettext_lazy("a program touched memory that is not mapped"),
    43: gettext_lazy("a program's channel was stopped"),
    45: gettext_lazy("a program was ended"),
    48: gettext_lazy("double-bit memory error"),
    63: gettext_lazy("a memory row is to be remapped"),
    64: gettext_lazy("a memory row could not be remapped"),
    74: gettext_lazy("NVLink error"),
    79: gettext_lazy("the GPU has fallen off the bus"),
    94: gettext_lazy("contained memory error"),
    95: gettext_lazy("uncontained memory error"),
    119: gettext_lazy("the GPU's system processor does not answer"),
    154: gettext_lazy("the GPU asks for a recovery action"),
}


@register.filter
def event_words(event: Any) -> str:
    """One sentence about an event of a node or a device."""
    detail: dict[str, Any] = event.detail if isinstance(event.detail, dict) else {}
    if event.kind == "xid":
        number = detail.get("xid")
        meaning = XIDS.get(number) if isinstance(number, int) else None
        if meaning is None:
            return _("XID %(number)s") % {"number": number}
        return _("XID %(number)s: %(meaning)s") % {"number": number, "meaning": meaning}
    if event.kind == "samples_dropped":
        return _("Measurements were dropped because the node's store was full.")
    if event.kind == "unknown_gpu_class":
        return _("A GPU of an unknown class was reported: %(name)s.") % {"name": detail.get("name", "–")}
    if event.kind == "uuid_of_another_node":
        return _("A GPU was reported that belongs to another node: %(uuid)s.") % {"uuid": detail.get("uuid", "–")}
    return str(_PLAIN.get(event.kind, event.kind))


_PLAIN = {
    "new_boot": gettext_lazy("The node has booted anew."),
    "signing_key_changed": gettext_lazy(
        "The portal's keys were other ones than at the first hello; they were refused."
    ),
    "ssh_ca_changed": gettext_lazy(
        "The portal's SSH authority was another one than at the first hello; it was refused."
    ),
    "command_refused": gettext_lazy("The node refused a command: it was not signed, too late or of an old generation."),
    "sampler_stalled": gettext_lazy("The sampler stood still and was replaced."),
    "device_lost": gettext_lazy("The GPU no longer answers."),
}
