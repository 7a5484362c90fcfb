"""Two people save the same thing at once: the second is told what differs and keeps what they typed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from common.errors import Text, WrongState


@dataclass(frozen=True)
class Difference:
    """One field, as it is kept now and as the second person wrote it."""

    label: Text
    stored: str
    typed: str


class SavedMeanwhile(WrongState):
    """Somebody saved since the form was opened. Saving again on `version` keeps what the second person wrote."""

    code = "overtaken"

    def __init__(self, *, who: Any, version: int, differences: Iterable[Difference]) -> None:
        self.version = version
        self.differences = [each for each in differences if each.stored != each.typed]
        super().__init__(
            _("%(who)s saved this after you opened it.") % {"who": who},
            remedy=_("Nothing you typed is lost. Look at what differs, then save again to keep your text."),
            code="overtaken",
            facts={
                "version": version,
                "differences": [
                    {"field": str(each.label), "stored": each.stored, "typed": each.typed} for each in self.differences
                ],
            },
        )
