"""Nodes that come into the house: made known, let in with a token that is shown once, their inventory confirmed."""

from typing import Any

from django.forms import BaseForm
from django.http import HttpResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _

from cluster.models import Node
from cluster.services import enrolment
from common.web import ObjectServicePage, ServicePage
from reports.forms import ConfirmForm, InventoryForm, NodeForm, ReasonForm
from reports.views.staff import StaffMixin


class _ShowsSecret(StaffMixin, ServicePage):
    """The answer to the form is the only page that ever shows the secret: a redirect would have to keep it somewhere.

    A reload sends the same submission key again and is led to the node.
    """

    template_name = "reports/verb.html"
    title: Any = ""
    text: Any = ""
    secret = ""
    is_join_token = True
    node: Node

    def form_valid(self, form: BaseForm) -> HttpResponse:
        response = super().form_valid(form)
        if not self.secret:
            return response
        context = {"node": self.node, "secret": self.secret, "is_join_token": self.is_join_token}
        shown = self.response_class(
            request=self.request, template=["reports/secret.html"], context=context, using=self.template_engine
        )
        add_never_cache_headers(shown)
        return shown

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(title=self.title, text=self.text, **kwargs)


class NewNode(_ShowsSecret):
    """A node to be."""

    form_class = NodeForm
    title = _("Enrol a node")
    text = _("The node's agent joins with a token that the next page shows once. It is good for a day.")

    def perform(self, form: BaseForm) -> Any:
        self.node, self.secret = enrolment.create_node(actor=self.request.user, **form.cleaned_data)
        return self.node


class _NodeSecret(_ShowsSecret, ObjectServicePage):
    model = Node
    object_name = "machine"


class NewJoinToken(_NodeSecret):
    """For a node that was installed anew, or whose token was not used in time."""

    form_class = ConfirmForm
    title = _("New join token")
    text = _("Join tokens of this node that were not used yet stop working. Its own token goes on until the new use.")

    def perform(self, form: BaseForm) -> Any:
        self.secret, self.node = enrolment.issue_join_token(actor=self.request.user, node=self.object), self.object
        return self.node


class RotateToken(_NodeSecret):
    """The old token dies at once."""

    form_class = ReasonForm
    is_join_token = False
    title = _("Rotate the token")
    text = _("The node's present token stops working at once; its agent is silent until it has the new one.")

    def perform(self, form: BaseForm) -> Any:
        reason = form.cleaned_data["reason"]
        self.secret = enrolment.rotate_token(actor=self.request.user, node=self.object, reason=reason)
        self.node = self.object
        return self.node


class ConfirmInventory(StaffMixin, ObjectServicePage):
    """What the node says it has, before anybody may book it."""

    model = Node
    object_name = "machine"
    form_class = InventoryForm
    template_name = "reports/inventory.html"
    success_message = _("The inventory is confirmed.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("pool__gpu_class")

    def get_form_kwargs(self) -> dict[str, Any]:
        devices = list(self.object.devices.filter(awaiting_confirmation=True).select_related("gpu_class"))
        self.differences = enrolment.differences(self.object)
        return super().get_form_kwargs() | {"devices": devices, "differs": bool(self.differences)}

    def perform(self, form: BaseForm) -> Any:
        return enrolment.confirm_inventory(
            actor=self.request.user,
            node=self.object,
            uuids=form.cleaned_data["uuids"],
            accept_difference=form.cleaned_data.get("accept_difference", False),
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return {**context, "differences": self.differences}
