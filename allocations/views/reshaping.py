"""Giving GPUs of a running reservation back, and replacing an ill one."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_nodes
from allocations.forms.reshapes import ShrinkForm, SwapForm
from allocations.models import Lease
from allocations.selectors.reshapes import candidates, charged_until
from allocations.selectors.windows import back_of_one
from allocations.services.reshaping import shrink, swap_device
from common.permissions import allowed
from common.web import ObjectServicePage


class _Page(ObjectServicePage):
    model = Lease
    object_name = "lease"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")


class ShrinkPage(_Page):
    """Some of the GPUs, the least used first."""

    template_name = "allocations/lease_shrink.html"
    form_class: Any = ShrinkForm
    success_message = _("The GPUs are being taken back. Their hours return when the node has let go of them.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "rows": candidates(self.object, timezone.now())}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        paid = charged_until(self.object, now)
        back = back_of_one(self.object, paid)
        return super().get_context_data(back_seconds=back, paid_until=paid if paid > now else None, **kwargs)

    def perform(self, form: forms.BaseForm) -> Any:
        return shrink(actor=self.request.user, lease=self.object, **form.cleaned_data)


class SwapPage(_Page):
    """One GPU: an ill one; for operators, any."""

    template_name = "allocations/lease_swap.html"
    form_class: Any = SwapForm
    success_message = _("Another GPU is being checked. It takes the place of this one when it has passed.")

    def get_form_kwargs(self) -> dict[str, Any]:
        operator = allowed(self.request.user, may_run_nodes)
        rows = [row for row in candidates(self.object, timezone.now()) if operator or row.ill]
        return {**super().get_form_kwargs(), "rows": rows, "needs_reason": operator}

    def get_initial(self) -> dict[str, Any]:
        return {"device": self.request.GET.get("device", "")}

    def perform(self, form: forms.BaseForm) -> Any:
        return swap_device(actor=self.request.user, lease=self.object, **form.cleaned_data)
