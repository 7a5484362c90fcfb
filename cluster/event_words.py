"""What happened to a machine, in words: the one place for pages, charts and the API."""

from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cluster.xids import DEFAULTS
from common.templatetags.bitgoeul import moment, reason_text

PLAIN: dict[str, Any] = {
    "new_boot": gettext_lazy("The node has booted anew."),
    "signing_key_changed": gettext_lazy(
        "The portal's keys were other ones than at the first hello; they were refused."
    ),
    "signing_key_followed": gettext_lazy(
        "The portal has a new key, for which the one before it vouches; the node follows it."
    ),
    "ssh_ca_changed": gettext_lazy(
        "The portal's SSH authority was another one than at the first hello; it was refused."
    ),
    "node_changed": gettext_lazy("The portal called the node by another name than at the first hello; it was refused."),
    "command_refused": gettext_lazy("The node refused a command: it was not signed, too late or of an old generation."),
}
WORDS: dict[str, Any] = {
    "samples_dropped": gettext_lazy(
        "Measurements from %(from)s to %(until)s were dropped because the node's store was full."
    ),
    "unknown_gpu_class": gettext_lazy("A GPU of an unknown class was reported: %(name)s."),
    "uuid_of_another_node": gettext_lazy("A GPU was reported that belongs to another node: %(uuid)s."),
    "no_inventory": gettext_lazy("GPU %(index)s did not answer when the inventory was taken: %(code)s."),
    "nvml_stalled": gettext_lazy("The driver does not answer for this GPU: %(call)s hangs."),
    "nvml_answers_again": gettext_lazy("The driver answers again after %(seconds)s seconds."),
    "sampler_replaced": gettext_lazy("The sampler was replaced: %(call)s hung for %(seconds)s seconds."),
    "part_restarted": gettext_lazy(
        "The agent's part “%(part)s” was started again (times since it was last heard: %(times)s): %(why)s."
    ),
    "layout_failed": gettext_lazy("The node did not cut the GPU as ordered: %(error)s."),
    "clock_skew": gettext_lazy("The node's clock is %(seconds)s seconds off the portal's."),
    "clock_right_again": gettext_lazy("The node's clock is right again."),
    "lost": gettext_lazy("The GPU no longer answers: %(reason)s."),
    "quarantined": gettext_lazy("The GPU was put into quarantine: %(reason)s."),
}
"""Sentences with the figures of the event in them; a figure that is missing is an en dash."""


class _Figures(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def event_words(event: Any) -> str:
    """One sentence about an event of a node or a device; a kind without words is shown as its code."""
    detail: dict[str, Any] = event.detail if isinstance(event.detail, dict) else {}
    if event.kind == "xid":
        number = detail.get("xid")
        rule = DEFAULTS.get(number) if isinstance(number, int) else None
        meaning = getattr(event, "own_meaning", "") or (rule.meaning if rule else "")
        if not meaning:
            return _("XID %(number)s") % {"number": number}
        return _("XID %(number)s: %(meaning)s") % {"number": number, "meaning": meaning}
    if event.kind in WORDS:
        said = {key: moment(at_of(value)) if key in ("from", "until") else value for key, value in detail.items()}
        if "reason" in said:  # a sentence of its own, or somebody's words; it stands within ours
            said["reason"] = reason_text(str(said["reason"])).rstrip(".")
        return str(WORDS[event.kind]) % _Figures({key: "–" if value is None else value for key, value in said.items()})
    return str(PLAIN.get(event.kind, event.kind))


def at_of(value: Any) -> datetime | None:
    """The moment of epoch seconds; None for anything else."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None
