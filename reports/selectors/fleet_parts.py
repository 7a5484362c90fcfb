"""What becomes of the fleet at one moment: each GPU is exactly one of seven things, so that they add up to all."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from reports.selectors.fleet import ILL_STATES
from reports.selectors.fleet_rows import Gpu
from telemetry.selectors import USED_ABOVE_PERCENT

IDLE_MINUTES = 10
SILENT = ("suspect", "unreachable")
ILL_FOR_GOOD = ("drain", "fail")
_QUIET = """
SELECT device_id FROM telemetry_deviceminute
WHERE device_id = ANY(%(devices)s::bigint[]) AND minute >= %(since)s AND minute < %(now)s
GROUP BY device_id HAVING max(utilisation_percent) <= %(above)s AND count(utilisation_percent) >= %(measured)s
"""


class Part(TextChoices):
    """In the order in which they lie on the bar; of a GPU that is cut up the first that any of its instances is."""

    USED = "used", pgettext_lazy("part of the fleet", "used")
    IDLE = "idle", pgettext_lazy("part of the fleet", "held, idle")
    UNMEASURED = "unmeasured", pgettext_lazy("part of the fleet", "held, not measured")
    BOOKED = "booked", pgettext_lazy("part of the fleet", "booked, not in use")
    FREE = "free", pgettext_lazy("part of the fleet", "free")
    MAINTENANCE = "maintenance", pgettext_lazy("part of the fleet", "maintenance")
    ILL = "ill", pgettext_lazy("part of the fleet", "ill or silent")

    @property
    def meaning(self) -> str:
        """What a GPU must be to count as this."""
        return str(_MEANINGS[self.value])


_MEANINGS = {
    "used": _("somebody has access and work runs on it"),
    "idle": _("somebody has access, and it was at 2 % or less for ten minutes; of the past: in that minute or hour"),
    "unmeasured": _("somebody has access and nothing was measured, which is never taken for idleness"),
    "booked": _("a reservation has it and nobody has access: it is being prepared, cleaned or handed over"),
    "free": _("can be lent"),
    "maintenance": _("announced work, or its node takes no reservations, or nobody has confirmed it yet"),
    "ill": _("out of service, or its node is silent; of the past: or nobody had it and nothing was measured"),
}
_ORDER = {part: place for place, part in enumerate(Part)}


@dataclass(frozen=True)
class Share:
    """One part of the bar: how many GPUs, and how many lie before it."""

    part: Part
    gpus: int
    before: int


def quiet(gpus: Iterable[Gpu], now: datetime) -> set[int]:
    """Of those that are handed over and at rest now: at rest in every measured minute of the last ten, half of them at
    least measured. Keys. One statement.
    """
    asked = [gpu.pk for gpu in gpus if gpu.handed and _at_rest(gpu)]
    if not asked:
        return set()
    since = now - timedelta(minutes=IDLE_MINUTES)
    values: dict[str, Any] = {
        "devices": asked,
        "since": since,
        "now": now,
        "above": USED_ABOVE_PERCENT,
        "measured": IDLE_MINUTES // 2,
    }
    with connection.cursor() as cursor:
        cursor.execute(_QUIET, values)
        return {pk for (pk,) in cursor.fetchall()}


def parts(gpus: Iterable[Gpu], resting: Collection[int] | None) -> dict[int, Part]:
    """By key. `resting`: those that were quiet for ten minutes; None: the moment is past, its figure alone counts."""
    if resting is None:
        return {gpu.pk: _then(gpu) for gpu in gpus}
    return {gpu.pk: _now(gpu, resting) for gpu in gpus}


def bar(gpus: Iterable[Gpu], by_key: Mapping[int, Part]) -> list[Share]:
    """How many GPUs each part has, all seven in order. A GPU that is cut up counts once, by its instances."""
    boards: dict[int, Part] = {}
    cut: dict[int, Part] = {}
    for gpu in gpus:
        part = by_key[gpu.pk]
        if gpu.set_aside and not gpu.profile:
            cut[gpu.board_id] = part
            continue
        known = boards.get(gpu.board_id)
        if known is None or _ORDER[part] < _ORDER[known]:
            boards[gpu.board_id] = part
    for board, part in cut.items():
        if board not in boards or part == Part.ILL:
            boards[board] = part
    counted, shares, before = Counter(boards.values()), [], 0
    for part in Part:
        shares.append(Share(part, counted[part], before))
        before += counted[part]
    return shares


def _at_rest(gpu: Gpu) -> bool:
    return gpu.utilisation_percent is not None and gpu.utilisation_percent <= USED_ABOVE_PERCENT


def _now(gpu: Gpu, resting: Collection[int]) -> Part:
    if gpu.state in ILL_STATES:
        return Part.ILL
    if gpu.handed:
        if gpu.utilisation_percent is None:
            return Part.UNMEASURED
        return Part.IDLE if gpu.pk in resting else Part.USED
    if gpu.health in ILL_FOR_GOOD or gpu.node_state in SILENT:
        return Part.ILL
    if gpu.kept or gpu.node_state != "ready" or gpu.unconfirmed:
        return Part.MAINTENANCE
    return Part.BOOKED if gpu.lease_id or gpu.state != "available" else Part.FREE


def _then(gpu: Gpu) -> Part:
    if gpu.state in ILL_STATES:
        return Part.ILL
    if gpu.handed:
        if gpu.utilisation_percent is None:
            return Part.UNMEASURED
        return Part.IDLE if _at_rest(gpu) else Part.USED
    if gpu.health in ILL_FOR_GOOD:
        return Part.ILL
    if gpu.kept:
        return Part.MAINTENANCE
    if gpu.lease_id:
        return Part.BOOKED
    return Part.ILL if gpu.utilisation_percent is None else Part.FREE
