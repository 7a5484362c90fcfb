"""What each XID means and what follows from it, until a site says otherwise (XidPolicy).

Sources: NVIDIA's XID catalogue (docs.nvidia.com/deploy/xid-errors), gpud's and Azure's tables. They disagree on 63 and
94: here a tenant may finish after a recorded remap, and a contained error costs the process that met it.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class XidRule:
    """`level` is the health that the device gets at once.

    `tell_partner`: whoever holds the device hears of it. `repeat_count` of the same XID on the device within
    `repeat_days` raise the level to drain at least; None: repeats change nothing.
    """

    xid: int
    meaning: Any
    level: str
    tell_partner: bool
    repeat_count: int | None = None
    repeat_days: int | None = None


def _rule(
    xids: tuple[int, ...], meaning: Any, level: str, tell: bool, repeat: tuple[int, int] | None
) -> dict[int, XidRule]:
    count, days = repeat or (None, None)
    return {xid: XidRule(xid, meaning, level, tell, count, days) for xid in xids}


CONTROLLER = (46, 62, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)

DEFAULTS: dict[int, XidRule] = {
    **_rule((8, 13, 31, 43, 45, 69), _("A program on the GPU failed"), "ok", True, (20, 1)),
    **_rule((63,), _("A memory row was remapped; a reset will make it count"), "warn", True, (3, 30)),
    **_rule((92,), _("Many corrected memory errors"), "warn", False, (3, 30)),
    **_rule((94,), _("A memory error was contained; the program that met it has ended"), "warn", True, (3, 30)),
    **_rule((48,), _("An uncorrected memory error"), "drain", True, (2, 30)),
    **_rule((64,), _("A memory row could not be remapped"), "drain", True, (2, 30)),
    **_rule((74,), _("An NVLink error"), "drain", True, (2, 7)),
    **_rule((144, 145, 146, 147, 148, 149, 150), _("An NVLink error"), "drain", True, (2, 7)),
    **_rule((95,), _("A memory error was not contained"), "drain", True, (2, 7)),
    **_rule(
        CONTROLLER,
        _("The GPU's own controller stopped answering"),
        "drain",
        True,
        (2, 7),
    ),
    **_rule((79,), _("The GPU has fallen off the bus"), "fail", True, (2, 30)),
    **_rule((154,), _("The recovery that the driver asks for has changed"), "ok", False, None),
    **_rule((171,), _("Where an uncorrected error was: DRAM"), "ok", False, None),
    **_rule((172,), _("Where an uncorrected error was: SRAM"), "drain", True, (1, 30)),
}
UNKNOWN = XidRule(0, _("Not in the catalogue of this portal"), "warn", False)
