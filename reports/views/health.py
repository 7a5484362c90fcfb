"""What is ill or was often ill, the rules that XIDs follow here, and who may share a pool's nodes."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from accounts.rules import may_run_nodes
from allocations.rules import may_award
from allocations.services.pools import may_set_terms, set_terms, share_nodes
from cluster.models import Pool, XidPolicy
from cluster.services import policies
from common.permissions import allowed
from common.web import ObjectServicePage, ServicePage
from reports.forms import ReasonForm, ShareForm, TermsForm, XidForm
from reports.selectors.health import health, pools, xid_rules
from reports.selectors.offenders import repeat_offenders
from reports.views.staff import StaffMixin


class HealthPage(StaffMixin, TemplateView):
    """Repeat offenders, GPUs out of service, nodes and agents in trouble."""

    template_name = "reports/health.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        return super().get_context_data(offenders=repeat_offenders(now), sheet=health(now), **kwargs)


class XidRules(StaffMixin, TemplateView):
    """What each XID means here, and what follows from it."""

    template_name = "reports/xids.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """`?xid=123` leads to the form of that number: an XID without a rule stands in no row."""
        wanted = policies.xid_in(request.GET.get("xid", ""))
        if wanted is not None:
            return HttpResponseRedirect(reverse("reports:xid-change", args=[wanted]))
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_change = allowed(self.request.user, may_run_nodes)
        return super().get_context_data(rows=xid_rules(), may_change=may_change, **kwargs)


class _XidPage(StaffMixin, ServicePage):
    """A form about one XID; the service refuses whoever runs no nodes."""

    template_name = "reports/xid.html"

    @property
    def own(self) -> XidPolicy | None:
        """The site's own rule, where there is one."""
        return XidPolicy.objects.filter(xid=self.kwargs["xid"]).first()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rule, xid = policies.rule_for(self.kwargs["xid"]), self.kwargs["xid"]
        return super().get_context_data(rule=rule, xid=xid, own=self.own, **kwargs)


class ChangeXid(_XidPage):
    """A site's own rule over the built-in one."""

    form_class = XidForm
    success_message = _("The rule is in force for XIDs from now on.")

    def get_initial(self) -> dict[str, Any]:
        rule, own = policies.rule_for(self.kwargs["xid"]), self.own
        names = ("level", "tell_partner", "repeat_count", "repeat_days")
        return {**{name: getattr(rule, name) for name in names}, "note": own.note if own else ""}

    def perform(self, form: Any) -> str:
        policies.change(actor=self.request.user, xid=self.kwargs["xid"], **form.cleaned_data)
        return reverse("reports:xids")


class ForgetXid(_XidPage):
    """Back to the built-in rule."""

    form_class = ReasonForm
    template_name = "reports/xid_forget.html"
    success_message = _("The built-in rule is in force again.")

    def perform(self, form: Any) -> str:
        own = self.own
        if own is not None:  # somebody else may have been quicker: then it is as it was wished
            policies.forget(actor=self.request.user, policy=own, reason=form.cleaned_data["reason"])
        return reverse("reports:xids")


class PoolsPage(StaffMixin, TemplateView):
    """Every pool: what is in it, how it is used, who may share its nodes."""

    template_name = "reports/pools.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            rows=pools(),
            may_change=allowed(self.request.user, may_run_nodes),
            may_set_terms=allowed(self.request.user, may_set_terms),
            may_award=allowed(self.request.user, may_award),
            **kwargs,
        )


class SharePool(StaffMixin, ObjectServicePage):
    """May organisations share a node of this pool?"""

    model = Pool
    form_class = ShareForm
    object_name = "pool"
    template_name = "reports/pool_share.html"
    success_message = _("The rule of the pool is changed.")

    def get_initial(self) -> dict[str, Any]:
        return {"shared": self.object.shared_nodes}

    def perform(self, form: Any) -> str:
        share_nodes(actor=self.request.user, pool=self.object, **form.cleaned_data)
        return reverse("reports:pools")


class PoolTerms(StaffMixin, ObjectServicePage):
    """How long a pool is cleaned between reservations, and how far its awards may exceed it."""

    model = Pool
    form_class = TermsForm
    object_name = "pool"
    template_name = "reports/pool_terms.html"
    success_message = _("The terms of the pool are changed.")

    def get_initial(self) -> dict[str, Any]:
        return {
            "turnaround_minutes": self.object.turnaround_seconds // 60,
            "overcommit_percent": self.object.overcommit_percent,
        }

    def perform(self, form: Any) -> str:
        said = dict(form.cleaned_data)
        seconds = said.pop("turnaround_minutes") * 60
        set_terms(actor=self.request.user, pool=self.object, turnaround_seconds=seconds, **said)
        return reverse("reports:pools")
