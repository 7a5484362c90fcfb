"""The first page after signing in: what is there for me, and what do I do next."""

from typing import Any

from common.web import Page
from proposals.selectors.reviewers import open_reviews_of
from reports.selectors import home


class HomePage(Page):
    """By role: staff see the queue and the fleet, partners what they may use, reviewers what is assigned."""

    template_name = "portal/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        context: dict[str, Any] = {"notices": home.notices(user)}
        if user.is_agency:
            context["staff"] = home.staff_home(user)
        context["partner"] = home.partner_home(user)
        context["reviewer"] = open_reviews_of(user) if "reviewer" in user.agency_roles else None
        return super().get_context_data(**context, **kwargs)
