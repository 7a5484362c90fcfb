"""What partners must know from floors above or beside it, through dotted paths in the settings (never an import)."""

from dataclasses import dataclass

from django.conf import settings
from django.utils.module_loading import import_string

from partners.choices import gpu_class_choices as gpu_class_choices
from partners.commitments import Committed
from partners.models import Agreement


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


def committed(agreement: Agreement) -> Committed:
    """What already counts against the agreement."""
    return import_string(settings.COMMITTED_FIGURES)(agreement)


def ceilings(agreement: Agreement, used: Committed | None = None) -> dict[str, CeilingUse]:
    """The ceilings with their use: `gpu_seconds` and `concurrent_gpus`. `used` spares the look-up."""
    used = used or committed(agreement)
    return {
        "gpu_seconds": CeilingUse(agreement.ceiling_gpu_seconds, used.gpu_seconds),
        "concurrent_gpus": CeilingUse(agreement.ceiling_concurrent_gpus, used.concurrent_gpus),
    }


def ceilings_by_year(agreement: Agreement, used: Committed) -> list[tuple[int, CeilingUse]]:
    """(calendar year, use of that year's ceiling) for each year of the term; empty where no year has a ceiling."""
    most = agreement.ceiling_gpu_seconds_a_year
    if most is None:
        return []
    years = range(agreement.valid_from.year, agreement.valid_until.year + 1)
    return [(year, CeilingUse(most, used.years.get(year, 0))) for year in years]
