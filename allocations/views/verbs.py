"""What one may do to a reservation: each a page that says what will happen, then one verb."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from allocations.forms.booking import ChangeForm
from allocations.forms.verbs import CertificateForm, ConfirmForm, ExtendForm
from allocations.models import Lease
from allocations.rule_words import sentences
from allocations.selectors.balances import balance
from allocations.selectors.bookable import stopped_of
from allocations.selectors.rulebooks import bill_of, rulebook_of
from allocations.services.access import issue_certificate
from allocations.services.changing import change
from allocations.services.ending import cancel, release
from allocations.services.extending import extend
from cluster.selectors import profiles_in
from common.errors import DomainError
from common.web import ObjectMixin, ObjectServicePage

BILLING = ("release_notice_seconds", "early_return_percent")
EXTENDING = ("longest_seconds", "extensions", "extension_window_seconds")
"""The rules that are told before each of these verbs."""


def _asked(form: forms.BaseForm) -> dict[str, Any]:
    return {key: form.cleaned_data[key] for key in ("device_count", "starts_at", "ends_at", "shape", "profile")}


def _bill(lease: Lease) -> dict[str, Any]:
    """What giving it back now costs, and the rules that say so."""
    bill = bill_of(lease, timezone.now())
    said = [row for row in sentences(bill.book, lease.allocation) if row.rule in BILLING]
    return {"bill": bill, "bill_rules": said}


class _LeasePage(ObjectServicePage):
    model = Lease
    object_name = "lease"
    form_class: Any = ConfirmForm

    def get_queryset(self) -> Any:
        return (
            super()
            .get_queryset()
            .select_related("allocation__project__organisation", "allocation__project__agreement", "allocation__pool")
        )


class ReleasePage(_LeasePage):
    """Give the GPUs back early."""

    template_name = "allocations/lease_release.html"
    success_message = _("The GPUs are being returned. What comes back is in the allocation once they are clean.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**_bill(self.object), **kwargs)

    def perform(self, form: forms.BaseForm) -> Any:
        return release(actor=self.request.user, lease=self.object)


class CancelPage(_LeasePage):
    """Before the start."""

    template_name = "allocations/lease_cancel.html"
    success_message = _("The reservation is cancelled. What comes back is back in the allocation.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**_bill(self.object), **kwargs)

    def perform(self, form: forms.BaseForm) -> Any:
        return cancel(actor=self.request.user, lease=self.object)


class ExtendPage(_LeasePage):
    """A later end."""

    template_name = "allocations/lease_extend.html"
    form_class = ExtendForm
    success_message = _("The longer reservation is asked for. It counts when every node has confirmed it.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "lease": self.object}

    def get_initial(self) -> dict[str, Any]:
        return {"ends_at": self.object.ends_at + timedelta(hours=4)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        allocation = self.object.allocation
        told = [row for row in sentences(rulebook_of(allocation), allocation) if row.rule in EXTENDING]
        stopped = stopped_of([allocation])
        return super().get_context_data(balance=balance(allocation), rules=told, stopped=stopped, **kwargs)

    def perform(self, form: forms.BaseForm) -> Any:
        return extend(actor=self.request.user, lease=self.object, ends_at=form.cleaned_data["ends_at"])


class ChangePage(_LeasePage):
    """Another size, window or shape before the start."""

    template_name = "allocations/lease_change.html"
    form_class = ChangeForm
    success_message = _("The reservation is changed.")

    def get_form_kwargs(self) -> dict[str, Any]:
        offered = [*profiles_in(self.object.allocation.pool)]
        known = [*offered, *([self.object.profile] if self.object.profile not in ["", *offered] else [])]
        return {**super().get_form_kwargs(), "profiles": known}

    def get_initial(self) -> dict[str, Any]:
        lease = self.object
        return {
            "profile": lease.profile,
            "device_count": lease.device_count,
            "starts_at": lease.starts_at,
            "ends_at": lease.ends_at,
            "shape": lease.shape,
            "shape_nodes": lease.shape_nodes if lease.shape == "nodes" else None,
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        allocation = self.object.allocation
        return super().get_context_data(balance=balance(allocation), stopped=stopped_of([allocation]), **kwargs)

    def perform(self, form: forms.BaseForm) -> Any:
        return change(actor=self.request.user, lease=self.object, **_asked(form))


class CertificateDownload(ObjectMixin, View):
    """A certificate for one of one's own keys; it ends with the reservation."""

    model = Lease
    http_method_names = ("post",)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = CertificateForm(request.POST, user=request.user)
        if not form.is_valid():
            messages.error(request, gettext("Please choose one of your SSH keys."))
            return HttpResponseRedirect(self.object.get_absolute_url())
        key = form.cleaned_data["key"]
        try:
            issued = issue_certificate(actor=request.user, lease=self.object, ssh_key=key)
        except DomainError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.object.get_absolute_url())
        response = HttpResponse(issued.certificate.rstrip() + "\n", content_type="text/plain; charset=utf-8")
        name = slugify(key.name) or key.public_id
        response["Content-Disposition"] = f'attachment; filename="{name}-cert.pub"'
        return response
