"""Pages of the agency's people."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest

from common.web import staff_only


class Agency(LoginRequiredMixin):
    """404 for people who are not of the agency."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            staff_only(request.user)
        return super().dispatch(request, *args, **kwargs)
