"""By which figures a minute is judged. A rule that was used is never changed: another one gets the next version.

The figures are those of the heuristic in use elsewhere: utilisation alone misleads both ways (one busy multiprocessor
of 132 reads as 100 %, a collective that hangs as well), so that activity and power are asked where they are known.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class UsageRule:
    """Bounds in per cent, watts, MiB and minutes. What a device does not measure is not asked."""

    version: int
    idle_utilisation: float
    idle_sm: float
    idle_watts_above: float
    """Above what its kind draws while nobody has it (`telemetry.IdlePower`); not asked until that is learned."""
    context_watts_above: float
    """The same while a program has the GPU open: an open context alone raises the clocks, and with them the power."""
    parked_mib: int
    hung_utilisation: float
    hung_sm: float
    hung_power_share: float
    """Of the device's power limit."""
    hung_minutes: int


_FIRST = UsageRule(
    version=1,
    idle_utilisation=2,
    idle_sm=1,
    idle_watts_above=15,
    context_watts_above=15,
    parked_mib=1024,
    hung_utilisation=95,
    hung_sm=2,
    hung_power_share=0.35,
    hung_minutes=30,
)
_SECOND = replace(_FIRST, version=2, context_watts_above=75)
"""A program that holds memory and sleeps is parked: under the first rule its open context alone counted as use. On an
H200 (driver 580, 2026) such a context drew 41 W above the 79 W of a GPU that nobody has, with 0 or 20 GiB held; on an
H100 46 to 54 W above 71 W, and 58 W in the ten seconds after full load (docs/hardware/).
"""
RULES = {rule.version: rule for rule in (_FIRST, _SECOND)}
"""Every rule that ever decided: what was decided is looked at again by the rule that decided it."""
RULE = _SECOND
