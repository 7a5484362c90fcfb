"""Who does a thing: a signed-in user, or a named part of the system."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SystemActor:
    """A part of the system that acts by the clock or by a node's report."""

    name: str

    @property
    def label(self) -> str:
        """How the audit log names it."""
        return f"system:{self.name}"


RECONCILER = SystemActor("reconciler")
SEED = SystemActor("seed")
