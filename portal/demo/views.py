"""The demonstration's own pages: who can sign in, what mail was sent, work for the simulated GPUs.

Reachable only where settings.DEMO is on, which the demo's runner sets and which binds to 127.0.0.1.
"""

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View

from allocations.models import Lease
from common.forms import Form
from common.web import LoginRequiredMixin
from portal.demo.mailbox import read_mailbox
from portal.demo.otp import current_code
from portal.demo.workloads import KINDS, WorkloadOrder, place_order

WORDS = {
    "pretrain": gettext_lazy("pretraining"),
    "finetune": gettext_lazy("fine-tuning"),
    "inference": gettext_lazy("inference"),
    "preprocess": gettext_lazy("data preprocessing"),
    "idle": gettext_lazy("idle: memory taken, nothing done"),
    "hung": gettext_lazy("hung: fully utilised, nothing done"),
}
"""What the simulated workloads are called."""


class WorkloadForm(Form):
    """Which reservation, what kind of work, on how many of its GPUs, for how long."""

    lease = forms.CharField(max_length=40)
    kind = forms.ChoiceField(label=gettext_lazy("Workload"), choices=[(kind, WORDS[kind]) for kind in KINDS])
    gpus = forms.IntegerField(label=gettext_lazy("GPUs"), min_value=1, max_value=64, initial=2)
    minutes = forms.IntegerField(label=gettext_lazy("Minutes"), min_value=1, max_value=240, initial=15)


class DemoPage(TemplateView):
    """Accounts with their one-time codes, and the reservations that can be given work."""

    template_name = "portal/demo/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        leases = Lease.objects.visible_to(user).filter(state="active") if user.is_authenticated else []
        return super().get_context_data(
            accounts=_accounts(), leases=leases, kinds=[(kind, WORDS[kind]) for kind in KINDS], **kwargs
        )


class MailboxPage(TemplateView):
    """Every mail that the demonstration sent."""

    template_name = "portal/demo/mailbox.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(mails=read_mailbox(settings.DEMO_DIR / "mail"), **kwargs)


class MailPage(TemplateView):
    """One mail."""

    template_name = "portal/demo/mail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        for mail in read_mailbox(settings.DEMO_DIR / "mail"):
            if mail.key == self.kwargs["key"]:
                return super().get_context_data(mail=mail, **kwargs)
        raise Http404


class StartWorkload(LoginRequiredMixin, View):
    """Gives simulated work to an active reservation of one's own."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        form = WorkloadForm(request.POST)
        if not form.is_valid():
            messages.error(
                request, _("Please choose a reservation, a kind of work, 1 to 64 GPUs and 1 to 240 minutes.")
            )
            return HttpResponseRedirect(reverse("demo"))
        lease = (
            Lease.objects.visible_to(request.user).filter(public_id=form.cleaned_data["lease"], state="active").first()
        )
        if lease is None:
            raise Http404
        held = lease.placements.filter(released=False, left_by=None)
        placements = held.select_related("device__node").order_by("device__node__name", "device__index")
        by_node: dict[str, list[int]] = {}
        for placement in placements[: form.cleaned_data["gpus"]]:
            by_node.setdefault(placement.device.node.name, []).append(placement.device.index)
        for node, gpus in by_node.items():
            order = WorkloadOrder(node, tuple(gpus), form.cleaned_data["kind"], 61_000, form.cleaned_data["minutes"])
            place_order(settings.DEMO_DIR / "workloads", order)
        messages.success(request, _("The work starts within seconds. The reservation's page shows it."))
        return HttpResponseRedirect(lease.get_absolute_url())


def _accounts() -> list[dict[str, Any]]:
    path = settings.DEMO_DIR / "accounts.json"
    if not path.is_file():
        return []
    accounts = json.loads(path.read_text())
    for account in accounts:
        account["code"] = current_code(account["totp_secret"]) if account["totp_secret"] else ""
    return accounts
