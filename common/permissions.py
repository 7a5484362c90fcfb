"""The gate at the head of every service verb."""

from typing import Any

from common.actors import SystemActor
from common.errors import Forbidden, Text


def require(actor: Any, predicate: Any, obj: Any = None, *, message: Text | None = None) -> None:
    """Raise Forbidden unless `predicate` (a `rules` predicate) holds for the actor on `obj`.

    System actors pass: what they may do is decided by which task calls which verb.
    """
    if isinstance(actor, SystemActor):
        return
    if not predicate.test(actor, obj):
        raise Forbidden(message)


def allowed(actor: Any, predicate: Any, obj: Any = None) -> bool:
    """The same question for a page that decides whether to show a button."""
    return isinstance(actor, SystemActor) or bool(predicate.test(actor, obj))
