"""Pages about calls."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectPage
from partners.selectors import managed_agreements
from proposals.filters import CallFilter
from proposals.models import Call, Proposal
from proposals.selectors import gpu_classes_of


class CallList(ListPage):
    model = Call
    filterset_class = CallFilter
    default_order = "-published_at"
    title = _("Calls")
    empty_text = _("No call yet. Calls appear here as soon as the agency publishes one.")
    export_name = "calls"
    columns = (
        Column("title", _("Title"), lambda c: c.title, link=lambda c: c.get_absolute_url(), sort="title_ko"),
        Column(
            "published_at",
            _("Published"),
            lambda c: c.published_at,
            cell=lambda c: moment(c.published_at),
            sort="published_at",
        ),
        Column(
            "closes_at",
            _("Closes"),
            lambda c: c.closes_at,
            cell=lambda c: moment(c.closes_at) if c.closes_at else _("rolling"),
            sort="closes_at",
        ),
        Column("open", _("Takes proposals"), lambda c: _("yes") if c.is_open else _("no")),
    )


class CallPage(ObjectPage):
    model = Call
    object_name = "call"
    template_name = "proposals/call.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        return super().get_context_data(
            gpu_classes=gpu_classes_of(self.object),
            agreements=managed_agreements(user),
            own_proposals=[] if user.is_agency else Proposal.objects.visible_to(user).filter(call=self.object)[:10],
            **kwargs,
        )
