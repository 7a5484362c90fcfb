"""What becomes of the fleet at one moment: each GPU is exactly one of seven things, so that they add up to all."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from reports.selectors.fleet import ILL_STATES
from telemetry.selectors import USED_ABOVE_PERCENT

IDLE_MINUTES = timedelta(minutes=10)
MEASURED_MINUTES = 5
"""So many of the ten must have been measured, or nothing is said about idleness."""


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
PARTS = tuple(Part)
RANK = {part: place for place, part in enumerate(PARTS)}
"""How the database calls them, so that the first of several is the least."""


@dataclass(frozen=True)
class Share:
    """One part of the bar: how many GPUs, and how many lie before it."""

    part: Part
    gpus: int
    before: int


def shares_of(counted: dict[Part, int]) -> list[Share]:
    """All seven in order."""
    shares, before = [], 0
    for part in PARTS:
        shares.append(Share(part, counted.get(part, 0), before))
        before += counted.get(part, 0)
    return shares


ILL_NAMES = ", ".join(f"'{state}'" for state in ILL_STATES)
"""As SQL lists them."""
_NOW = f"""
CASE WHEN d.state IN ({ILL_NAMES}) THEN {RANK[Part.ILL]}
     WHEN h.handed THEN CASE WHEN m.utilisation_percent IS NULL THEN {RANK[Part.UNMEASURED]}
                             WHEN q.resting THEN {RANK[Part.IDLE]} ELSE {RANK[Part.USED]} END
     WHEN d.health IN ('drain', 'fail') OR n.state IN ('suspect', 'unreachable') THEN {RANK[Part.ILL]}
     WHEN h.kept OR w.node_id IS NOT NULL OR n.state <> 'ready' OR d.awaiting_confirmation
         THEN {RANK[Part.MAINTENANCE]}
     WHEN h.lease_id IS NOT NULL OR d.state <> 'available' THEN {RANK[Part.BOOKED]}
     ELSE {RANK[Part.FREE]} END
"""
_THEN = f"""
CASE WHEN s.state IN ({ILL_NAMES}) THEN {RANK[Part.ILL]}
     WHEN h.handed THEN CASE WHEN m.utilisation_percent IS NULL THEN {RANK[Part.UNMEASURED]}
                             WHEN m.utilisation_percent <= {USED_ABOVE_PERCENT} THEN {RANK[Part.IDLE]}
                             ELSE {RANK[Part.USED]} END
     WHEN s.health IN ('drain', 'fail') THEN {RANK[Part.ILL]}
     WHEN h.kept OR w.node_id IS NOT NULL THEN {RANK[Part.MAINTENANCE]}
     WHEN h.lease_id IS NOT NULL THEN {RANK[Part.BOOKED]}
     WHEN m.utilisation_percent IS NULL THEN {RANK[Part.ILL]}
     ELSE {RANK[Part.FREE]} END
"""
RANKED = {False: _NOW, True: _THEN}
"""By whether the moment is past: what a GPU counts as, in the words of `fleet_sql`."""
RESTING = f"""
LEFT JOIN LATERAL (
    SELECT true AS resting FROM telemetry_deviceminute
    WHERE device_id = d.id AND minute >= %(idle_since)s AND minute < %(at)s
      AND h.handed AND m.utilisation_percent <= {USED_ABOVE_PERCENT}
    HAVING max(utilisation_percent) <= {USED_ABOVE_PERCENT} AND count(utilisation_percent) >= {MEASURED_MINUTES}
) AS q ON true
"""  # noqa: S608 (constants)
"""Of what is handed over and at rest now: at rest in each measured minute of the last ten. Of the past its own figure
counts alone.
"""
