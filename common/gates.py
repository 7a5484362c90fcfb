"""Pages that exist only for some: 404 where the page itself is no business of theirs, 403 where the object is."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from common.permissions import allowed


class Gate:
    """Mix in before a page class: nobody gets in for whom the `gate` rule does not hold."""

    gate: Any

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not allowed(request.user, self.gate):
            raise Http404
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]


class ObjectGate:
    """The same for a page about an object that the person may see: a clear 403."""

    gate: Any

    def gate_object(self, obj: Any) -> Any:
        """What the rule is asked about; the object itself unless overridden."""
        return obj

    def fetch(self) -> Any:
        obj = super().fetch()  # type: ignore[misc]
        if not allowed(self.request.user, self.gate, self.gate_object(obj)):  # type: ignore[attr-defined]
            raise PermissionDenied
        return obj
