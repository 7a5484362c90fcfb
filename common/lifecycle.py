"""A lifecycle is a table: (state, event) -> state. Nothing else decides what may follow what."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.errors import InvalidTransition


@dataclass(frozen=True)
class Lifecycle:
    """The states of one noun and the events that move it.

    `table` maps (state, event) to the next state; `initial` is where a new row starts, or in one of `other_initials`.
    """

    noun: str
    initial: str
    table: Mapping[tuple[str, str], str] = field(hash=False)
    other_initials: tuple[str, ...] = ()

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, the initial one first, in the order of the table."""
        seen = {self.initial: None}
        for (state, _event), target in self.table.items():
            seen.setdefault(state)
            seen.setdefault(target)
        return tuple(seen)

    def next(self, state: str, event: str) -> str:
        """The state that follows; InvalidTransition where the table has no such row."""
        try:
            return self.table[(state, event)]
        except KeyError:
            raise InvalidTransition(self.noun, state, event, self.events_from(state)) from None

    def allows(self, state: str, event: str) -> bool:
        """Whether the table has a row for this event in this state."""
        return (state, event) in self.table

    def events_from(self, state: str) -> tuple[str, ...]:
        """The events that the table knows in this state."""
        return tuple(event for (source, event) in self.table if source == state)

    def choices(self) -> list[tuple[str, str]]:
        """(value, value) pairs for a model field; pages translate the label."""
        return [(state, state.replace("_", " ")) for state in self.states]

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram, for the docs."""
        lines = ["stateDiagram-v2", *(f"    [*] --> {state}" for state in (self.initial, *self.other_initials))]
        lines += [f"    {state} --> {target}: {event}" for (state, event), target in self.table.items()]
        return "\n".join(lines)
