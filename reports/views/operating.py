"""The operators' verbs, each a page that asks why and, where reservations are hit, what becomes of them."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from allocations.promises import Promise, promises_on
from allocations.services import operating
from cluster.mig import profiles_of
from cluster.models import Device, MaintenanceWindow, Node
from cluster.selectors import with_instances
from cluster.services import layouts, nodes
from common.errors import DomainError
from common.web import ObjectServicePage
from reports.forms import (
    ForceForm,
    MaintainForm,
    PartitionForm,
    PlanForm,
    ReasonForm,
    SendBackForm,
    WindowForm,
    profiles_in_words,
)
from reports.views.staff import StaffMixin


class _Verb(StaffMixin, ObjectServicePage):
    """Asks for the reason and calls one verb."""

    form_class: type[forms.Form] = ReasonForm
    object_name = "machine"
    template_name = "reports/verb.html"
    title: Any = ""
    text: Any = ""
    grave = False
    lenient = False

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs = super().get_form_kwargs()
        if issubclass(self.form_class, PlanForm):
            kwargs |= {"hit": self.hit, "lenient": self.lenient}
        return kwargs

    def hit(self, since: datetime | None, until: datetime | None) -> list[Promise]:
        """The reservations that this would hit."""
        return promises_on(self.device_ids(), since=since, until=until)

    def device_ids(self) -> list[int]:
        """The devices that this is about."""
        if isinstance(self.object, Device):
            return with_instances(self.object)
        return list(self.object.devices.exclude(state="retired").values_list("pk", flat=True))

    def planned(self, form: Any) -> dict[str, Any]:
        """What every planned verb is told."""
        said = {"actor": self.request.user, "reason": form.cleaned_data["reason"], "plan": form.plan}
        return said if self.lenient else {**said, "force": form.cleaned_data.get("force", False)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(title=self.title, text=self.text, grave=self.grave, **kwargs)


class _NodeVerb(_Verb):
    model = Node


class _DeviceVerb(_Verb):
    model = Device

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("node")


class DrainNode(_NodeVerb):
    """No new reservations on this node."""

    form_class = PlanForm
    lenient = True
    title = _("Drain this node")
    text = _(
        "No new reservation will be placed on this node. Reservations that run or are booked on it stay as they are, "
        "unless you choose otherwise below."
    )
    success_message = _("The node is being drained.")

    def perform(self, form: Any) -> Any:
        return operating.drain_node(node=self.object, **self.planned(form)).target


class ResumeNode(_NodeVerb):
    """Back to work."""

    title = _("Return this node to service")
    text = _(
        "New reservations may be placed on this node again; after maintenance once its free GPUs have passed their "
        "checks."
    )
    success_message = _("The node is back in service.")

    def perform(self, form: Any) -> Any:
        return nodes.resume(actor=self.request.user, node=self.object, reason=form.cleaned_data["reason"])


class MaintainNode(_NodeVerb):
    """People work on it now."""

    form_class = MaintainForm
    title = _("Start maintenance")
    text = _("People work on this node now. It takes no reservation until it is returned to service.")
    success_message = _("The node is in maintenance.")

    def perform(self, form: Any) -> Any:
        until = form.cleaned_data["until"]
        return operating.maintain_node(node=self.object, until=until, **self.planned(form)).target


class AnnounceWindow(_NodeVerb):
    """Work that is planned."""

    form_class = WindowForm
    title = _("Announce maintenance")
    text = _("In this window no reservation can be placed on this node.")
    success_message = _("The maintenance window is announced.")

    def hit(self, since: datetime | None, until: datetime | None) -> list[Promise]:
        """Nothing until the window is known; then what lies in it and does not end by itself."""
        if since is None or until is None or until <= since:
            return []
        found = super().hit(since, until)
        return [promise for promise in found if promise.scheduled or promise.running]

    def perform(self, form: Any) -> Any:
        said = {name: form.cleaned_data[name] for name in ("starts_at", "ends_at")}
        return operating.announce_maintenance(node=self.object, **said, **self.planned(form)).target


class CancelWindow(_Verb):
    """The work does not take place."""

    model = MaintenanceWindow
    title = _("Cancel this maintenance window")
    text = _("Reservations may be placed on the node in this window again.")
    success_message = _("The maintenance window is cancelled.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("node")

    def perform(self, form: Any) -> Any:
        reason = form.cleaned_data["reason"]
        return operating.cancel_maintenance(actor=self.request.user, window=self.object, reason=reason)


class RetireNode(_NodeVerb):
    """Out of the house."""

    form_class = ForceForm
    grave = True
    title = _("Retire this node")
    text = _("The node and all its GPUs leave the data centre for good. Its agent is no longer let in.")
    success_message = _("The node is retired.")

    def perform(self, form: Any) -> Any:
        return operating.retire_node(node=self.object, **self.planned(form)).target


class QuarantineDevice(_DeviceVerb):
    """Out of service."""

    form_class = ForceForm
    title = _("Quarantine this GPU")
    text = _("Nobody gets this GPU until an operator returns it to service.")
    success_message = _("The GPU is in quarantine.")

    def hit(self, since: datetime | None, until: datetime | None) -> list[Promise]:
        """What is being taken back ends by itself."""
        return [promise for promise in super().hit(since, until) if promise.scheduled or promise.running]

    def perform(self, form: Any) -> Any:
        return operating.quarantine_device(device=self.object, **self.planned(form)).target


class ReturnDevice(_DeviceVerb):
    """Back to service by way of cleaning."""

    title = _("Return this GPU to service")
    text = _("Its node checks it; it is available once it is found empty and healthy.")
    success_message = _("The GPU is being checked.")

    def perform(self, form: Any) -> Any:
        return operating.return_device(actor=self.request.user, device=self.object, reason=form.cleaned_data["reason"])


class SendDeviceBack(_DeviceVerb):
    """To the vendor."""

    form_class = SendBackForm
    title = _("Send this GPU to the vendor")
    text = _("It is noted under the vendor's ticket, and leaves the node.")
    success_message = _("The GPU is noted as sent to the vendor.")

    def perform(self, form: Any) -> Any:
        ticket = form.cleaned_data["ticket"]
        return operating.send_device_back(device=self.object, ticket=ticket, **self.planned(form)).target


class PartitionDevice(_DeviceVerb):
    """Cut up, or made whole."""

    form_class = PartitionForm
    title = _("Cut this GPU into MIG instances")
    success_message = _("The layout is ordered; the instances can be booked once the node has made and checked them.")

    def device_ids(self) -> list[int]:
        """The GPU, and those of its instances that the layout as typed takes away."""
        names = profiles_in_words(self.request.POST.get("instances", "")) if self.request.method == "POST" else None
        try:
            leaving = layouts.going(self.object, layouts.layout_of(self.object, names)) if names is not None else []
        except DomainError:
            leaving = []
        return [self.object.pk, *(each.pk for each in leaving)]

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("gpu_class")

    def get_initial(self) -> dict[str, Any]:
        return {"instances": ", ".join(name for name, _start in self.object.layout)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        offered = profiles_of(self.object.gpu_class.nvml_name)
        self.text = _(
            "The GPU is then lent in these instances alone, each to somebody else if need be. Those that are there and "
            "wanted again stay as they are. It offers: %(offered)s."
        ) % {"offered": ", ".join(f"{each.most} x {each.name}" for each in offered) or "–"}
        return super().get_context_data(**kwargs)

    def perform(self, form: Any) -> Any:
        names = form.cleaned_data["instances"]
        return operating.partition_device(device=self.object, instances=names, **self.planned(form)).target


class RetireDevice(_DeviceVerb):
    """Out of the house."""

    form_class = ForceForm
    grave = True
    title = _("Retire this GPU")
    text = _("This GPU leaves the data centre for good.")
    success_message = _("The GPU is retired.")

    def perform(self, form: Any) -> Any:
        return operating.retire_device(device=self.object, **self.planned(form)).target
