"""Two people save the same thing at once: the second is told what differs and keeps what they typed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from common.errors import Text, WrongState


@dataclass(frozen=True)
class Difference:
    """One field, as it is kept now and as the second person wrote it; `name` is the field's own, where it has one."""

    label: Text
    stored: str
    typed: str
    name: str = ""


class SavedMeanwhile(WrongState):
    """Somebody saved since the form was opened. Saving again on what `facts` tell keeps what the second person wrote.

    `facts`: whatever the form was opened on (`version`, `revision`, `mark`), and `differences`.
    """

    code = "overtaken"

    def __init__(self, *, differences: Iterable[Difference], who: Any = "", **opened_on: int | str) -> None:
        self.differences = [each for each in differences if each.stored != each.typed]
        rows = [
            {
                "field": each.name or str(each.label),
                "label": str(each.label),
                "stored": each.stored,
                "typed": each.typed,
            }
            for each in self.differences
        ]
        super().__init__(
            _("%(who)s saved this after you opened it.") % {"who": who}
            if who
            else _("Somebody else saved this after you opened it."),
            remedy=_("Nothing you typed is lost. Look at what differs, then save again to keep your text."),
            code="overtaken",
            facts={**opened_on, "differences": rows},
        )
