"""What the heat map can be coloured by: a figure of each GPU, and the step of the scale that it lies on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from reports.selectors.fleet import ILL_STATES, level_of
from reports.selectors.fleet_rows import Gpu

TEMPERATURES = ((85, "full"), (75, "high"), (60, "mid"), (40, "low"))
HEALTH = {"ok": "ok", "warn": "warn", "drain": "bad", "fail": "bad"}


def _warmth(value: float | None) -> str:
    if value is None:
        return "gap"
    return next((name for above, name in TEMPERATURES if value > above), "idle")


@dataclass(frozen=True)
class Metric:
    """A figure. `steps`: the scale as the legend says it, least first."""

    key: str
    label: object
    unit: str
    figure: Callable[[Gpu], float | None]
    level: Callable[[float | None], str] = level_of
    steps: tuple[tuple[str, Any], ...] = (
        ("idle", "0–2"),
        ("low", "3–30"),
        ("mid", "31–60"),
        ("high", "61–90"),
        ("full", "91–100"),
    )

    def shown(self, gpu: Gpu) -> tuple[str, str]:
        """(level, text) of a GPU."""
        if self.key == "health":
            level = "out" if gpu.state in ILL_STATES else HEALTH.get(gpu.health, "bad")
            return level, {"ok": "✓", "warn": "!", "bad": "!!", "out": "×"}[level]
        value = self.figure(gpu)
        return self.level(value), "–" if value is None else f"{value:.0f}"


_WARM = (("idle", "0–40"), ("low", "41–60"), ("mid", "61–75"), ("high", "76–85"), ("full", "86+"))
_WELL = (
    ("ok", _("✓ well")),
    ("warn", _("! warning")),
    ("bad", _("!! drained or failed")),
    ("out", _("× out of service")),
)
METRICS = {
    each.key: each
    for each in (
        Metric("utilisation", _("Utilisation"), "%", lambda gpu: gpu.utilisation_percent),
        Metric("sm", _("SM active"), "%", lambda gpu: gpu.sm_active_percent),
        Metric("tensor", _("Tensor active"), "%", lambda gpu: gpu.tensor_active_percent),
        Metric("memory", _("Memory used"), "%", lambda gpu: gpu.memory_percent),
        Metric("power", _("Power of its limit"), "%", lambda gpu: gpu.power_percent),
        Metric("temperature", _("Temperature"), "°C", lambda gpu: gpu.temperature_c, _warmth, _WARM),
        Metric("health", _("Health"), "", lambda _gpu: None, steps=_WELL),
    )
}
DEFAULT_METRIC = "utilisation"
