"""Pages about calls."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectPage
from partners.selectors import managed_agreements
from proposals.filters import CallFilter
from proposals.forms import CallForm
from proposals.models import Call, Proposal
from proposals.rules import may_edit_call
from proposals.selectors import gpu_classes_of
from proposals.services.calls import edit_call, is_over, terms_of


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
            may_edit=may_edit_call.test(user, None) and not is_over(self.object, timezone.now()),
            own_proposals=[] if user.is_agency else Proposal.objects.visible_to(user).filter(call=self.object)[:10],
            **kwargs,
        )


class CallEdit(ObjectGate, ObjectFormPage):
    model = Call
    object_name = "call"
    gate = may_edit_call
    form_class = CallForm
    title = _("Change the call")
    intro = _("A draft can be changed in everything. Of an open call: the texts, and a later cut-off.")
    submit_label = _("Save")
    success_message = _("The call is saved.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "call": self.object}

    def get_initial(self) -> dict[str, Any]:
        said = terms_of(self.object)
        texts = {name: getattr(said, name) for name in ("title_ko", "title_en", "text_ko", "text_en", "closes_at")}
        return {**texts, "pools": [pool.public_id for pool in said.pools]}

    def perform(self, form: Any) -> Call:
        return edit_call(actor=self.request.user, call=self.object, terms=form.terms())
