"""What an import says about a file."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the row as the spreadsheet counts it, the column's name, what stands there, the rule
    that it breaks and what to do.
    """

    row: int
    column: str
    value: str
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return dict(vars(self))


@dataclass(frozen=True)
class ImportReport:
    """What is in a file: rows read, proposals in them, `new` ones, those `known` from an earlier import; `saved` where
    the new ones were brought in; columns that nobody knows are `ignored`. `lacking`: the files that the call needs of
    every new one, and no spreadsheet can bring.
    """

    rows: int
    proposals: int
    new: int
    known: int
    problems: tuple[Problem, ...] = ()
    ignored: tuple[str, ...] = ()
    saved: bool = False
    lacking: tuple[str, ...] = ()
    bad_rows: int = field(default=0)

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {**vars(self), "problems": [problem.as_json() for problem in self.problems]}
