"""What an amendment changes, in words. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.quantities import seconds_to_hours
from partners.choices import gpu_class_choices, pool_choices
from partners.models import Agreement

_SECONDS = ("ceiling_gpu_seconds", "ceiling_gpu_seconds_a_year")


@dataclass(frozen=True)
class Change:
    """One term before and after, as a person reads it."""

    label: str
    before: str
    after: str


def shown_changes(changes: Mapping[str, list[Any]]) -> list[Change]:
    """The changes of an amendment, in the reader's language: at most two queries."""
    names: dict[str, str] = {}
    if "gpu_classes" in changes:
        names |= dict(gpu_class_choices())
    if "pools" in changes:
        names |= {pool: name for pool, name, _code in pool_choices()}
    return [
        Change(label_of(name), _shown(name, before, names), _shown(name, after, names))
        for name, (before, after) in changes.items()
    ]


def label_of(name: str) -> str:
    """What a term is called."""
    text = str(Agreement._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    return text[:1].upper() + text[1:]


def _shown(name: str, value: Any, names: Mapping[str, str]) -> str:
    if value in (None, "", []):
        return str(_("all of them")) if name == "pools" else "–"
    if name in _SECONDS:
        return number_format(seconds_to_hours(value), 2, force_grouping=True)
    if isinstance(value, int):
        return number_format(value, 0, force_grouping=True)
    if isinstance(value, list):
        words = dict(Agreement.Cooperation.choices) if name == "cooperation" else names
        return ", ".join(str(words.get(one, one)) for one in value)
    if name.endswith("_rule"):
        return str(dict(Agreement.RunOut.choices).get(value, value))
    return str(value)
