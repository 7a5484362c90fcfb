"""What a held minute of a device may have been: exactly one of these."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class UsageClass(models.TextChoices):
    """Each has a letter, under which an hour's sixty minutes are kept, and a colour of Okabe and Ito's set."""

    USED = "used", _("used")
    IDLE = "idle", _("idle")
    PARKED = "parked", _("memory parked")
    HUNG = "hung", _("hung, as it seems")
    NO_DATA = "no_data", _("not measured")
    FAULT = "fault", _("the provider's fault")
    MAINTENANCE = "maintenance", _("maintenance")

    @property
    def letter(self) -> str:
        """What stands for it in `UsageHour.codes`."""
        return _LETTERS[self.value]

    @property
    def colour(self) -> str:
        """For pictures; told apart by people who do not see red and green as others do."""
        return _COLOURS[self.value]

    @property
    def field(self) -> str:
        """The name of its sum on rows and dataclasses."""
        return f"{self.value}_seconds"

    @property
    def meaning(self) -> str:
        """What a minute must look like to be this, in the reader's language."""
        return str(_MEANINGS[self.value])

    @classmethod
    def of_letter(cls, letter: str) -> "UsageClass":
        """The class of a letter; KeyError for any other, and for the blank of a minute that was not held."""
        return cls(_OF_LETTERS[letter])


_LETTERS: dict[str, str] = {
    "used": "U",
    "idle": "I",
    "parked": "P",
    "hung": "H",
    "no_data": "N",
    "fault": "F",
    "maintenance": "M",
}
_OF_LETTERS = {letter: name for name, letter in _LETTERS.items()}
_COLOURS = {
    "used": "#0072b2",
    "idle": "#e69f00",
    "parked": "#f0e442",
    "hung": "#cc79a7",
    "no_data": "#9aa0a6",
    "fault": "#d55e00",
    "maintenance": "#56b4e9",
}
_MEANINGS = {
    "used": _("work ran on the GPU"),
    "idle": _("neither load nor activity, and no more power than when nobody works on it"),
    "parked": _("idle, with more than 1 GiB of its memory filled"),
    "hung": _("for 30 minutes at full load by its own word, with hardly any activity and little power"),
    "no_data": _("nothing was measured, which is never taken for idleness"),
    "fault": _("the GPU was handed over late, or lost, and its hours are credited"),
    "maintenance": _("announced maintenance of its node, and no work on it"),
}
