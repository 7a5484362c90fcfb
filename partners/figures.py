"""What partners must know from floors above or beside it, through dotted paths in the settings (never an import)."""

from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from partners.models import Agreement
from partners.policy import Committed


@dataclass(frozen=True)
class CeilingUse:
    """One ceiling: what it allows, what is committed, what is left (device-seconds or GPUs)."""

    ceiling: int
    used: int

    @property
    def left(self) -> int:
        """Never below zero."""
        return max(0, self.ceiling - self.used)

    @property
    def percent(self) -> int:
        """Whole per cent of the ceiling that is committed, 0 to 100."""
        return min(100, round(100 * self.used / self.ceiling)) if self.ceiling else 0


def gpu_class_choices() -> list[tuple[str, str]]:
    """(code, name) of every GPU class that there is."""
    return list(import_string(settings.GPU_CLASS_CHOICES)())


def committed(agreement: Agreement) -> Committed:
    """What already counts against the agreement."""
    return import_string(settings.COMMITTED_FIGURES)(agreement)


def ceilings(agreement: Agreement, used: Committed | None = None) -> dict[str, CeilingUse]:
    """The two ceilings with their use: `gpu_seconds` and `concurrent_gpus`. `used` spares the look-up."""
    used = used or committed(agreement)
    return {
        "gpu_seconds": CeilingUse(agreement.ceiling_gpu_seconds, used.gpu_seconds),
        "concurrent_gpus": CeilingUse(agreement.ceiling_concurrent_gpus, used.concurrent_gpus),
    }
