"""The agency's pages of the rules of booking, and of the times when nothing may be booked."""

from typing import Any, cast

from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from allocations.forms.rules import BlackoutForm, ReasonForm, RulesForm
from allocations.models import Allocation, Blackout, BookingRules
from allocations.rule_words import NAMES, source, value_text
from allocations.rulebook import HOUSE, RULES, SCOPES, Said, Scope
from allocations.rules import may_set_rules
from allocations.selectors.rulebooks import SUBJECTS, booked_in, inherited_by, rules_of
from allocations.services.rule_setting import announce_blackout, cancel_blackout, set_rules
from cluster.models import Pool
from common.errors import DomainError
from common.form_pages import FormPage, ObjectFormPage
from common.permissions import allowed
from common.web import ObjectPage, staff_only
from partners.models import Agreement


class _StaffMixin(LoginRequiredMixin):
    """404 for people who are not of the agency; the services refuse whoever is no officer."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            staff_only(request.user)
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = allowed(self.request.user, may_set_rules)  # type: ignore[attr-defined]
        return super().get_context_data(may_change=may, **kwargs)  # type: ignore[misc]


def _said(rules: BookingRules | None) -> list[str]:
    """What a row says, one sentence a rule."""
    if rules is None:
        return []
    return [f"{NAMES[name]}: {value_text(name, getattr(rules, name))}" for name in RULES if _is_said(rules, name)]


def _is_said(rules: BookingRules, name: str) -> bool:
    return getattr(rules, name) is not None


A_PAGE = 50
"""Exceptions."""


class RulesPage(_StaffMixin, TemplateView):
    """Who says what: the house, the pools, and the exceptions of agreements and allocations."""

    template_name = "allocations/rules.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """`?of=` an agreement's number or id, or an allocation's id, leads to the form of its rules."""
        wanted = request.GET.get("of", "").replace("\0", "").strip()
        if not wanted:
            return super().get(request, *args, **kwargs)
        for scope, found in (
            ("agreement", Agreement.objects.filter(Q(number=wanted) | Q(public_id=wanted)).first()),
            ("allocation", Allocation.objects.filter(public_id=wanted).first()),
        ):
            if found is not None:
                return HttpResponseRedirect(reverse("allocations:rules-of", args=[scope, found.public_id]))
        return self.render_to_response(self.get_context_data(not_found=wanted), status=404)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        of_pool = {row.pool_id: row for row in BookingRules.objects.filter(pool__isnull=False)}
        silent = Q(**{f"{name}__isnull": True for name in RULES})
        narrow = BookingRules.objects.filter(~silent, pool=None).select_related(
            "agreement__organisation", "allocation__project__organisation", "allocation__pool"
        )
        exceptions = Paginator(narrow.order_by("-updated_at", "-pk"), A_PAGE).get_page(self.request.GET.get("page"))
        coming = Blackout.objects.filter(ends_at__gt=now, cancelled_at=None).select_related("pool")
        return super().get_context_data(
            house=[(NAMES[name], value_text(name, getattr(HOUSE, name).value)) for name in RULES],
            pools=[(pool, _said(of_pool.get(pool.pk))) for pool in Pool.objects.all()],
            exceptions=[(row, _said(row)) for row in exceptions],
            page=exceptions,
            blackouts=coming,
            **kwargs,
        )


class SetRules(_StaffMixin, FormPage):
    """The rules of one pool, agreement or allocation."""

    form_class = RulesForm
    template_name = "allocations/rules_of.html"
    success_message = _("The rules hold for what is booked from now on.")
    submit_label = _("Save the rules")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            staff_only(request.user)
            self.scope = cast(Scope, kwargs["scope"])
            if self.scope not in SUBJECTS:
                raise Http404
            rows = SUBJECTS[self.scope].objects.all()
            rows = rows.select_related("project__agreement", "pool") if self.scope == "allocation" else rows
            self.subject = get_object_or_404(rows, public_id=kwargs["public_id"])
            self.rules = rules_of(self.scope, self.subject)
        return super().dispatch(request, *args, **kwargs)

    def get_initial(self) -> dict[str, Any]:
        return {**{name: getattr(self.rules, name) for name in RULES}, "version": self.rules.version}

    def get_form_kwargs(self) -> dict[str, Any]:
        given = {"inherited": inherited_by(self.scope, self.subject), "scope": self.scope, "sources": self._sources()}
        return super().get_form_kwargs() | given

    def _sources(self) -> dict[str, str]:
        if self.scope != "allocation":
            return {"house": gettext("rule of the house")}
        return {scope: source(Said(None, scope), self.subject) for scope in SCOPES}

    def perform(self, form: Any) -> str:
        try:
            set_rules(
                actor=self.request.user,
                scope=self.scope,
                subject=self.subject,
                values=form.values,
                version=form.cleaned_data["version"],
                reason=form.cleaned_data["reason"],
            )
        except DomainError as error:
            if error.code == "rules_changed":  # seen now: whoever saves again means it
                form.data = form.data.copy()
                form.data[form.add_prefix("version")] = str(error.facts["version"])
            raise
        return reverse("allocations:rules")

    def cancel_url(self) -> str:
        return reverse("allocations:rules")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        title = {
            "pool": gettext("Rules of the pool %(name)s"),
            "agreement": gettext("Rules of the agreement %(name)s"),
            "allocation": gettext("Rules of the award %(name)s"),
        }[self.scope] % {"name": self.subject}
        return super().get_context_data(title=title, scope=self.scope, subject=self.subject, **kwargs)


class BlackoutPage(_StaffMixin, ObjectPage):
    """One blackout, and whose reservations lie in it."""

    model = Blackout
    object_name = "blackout"
    template_name = "allocations/blackout.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        blackout = self.object
        ends = blackout.cancelled_at is None and blackout.ends_at > timezone.now()
        return super().get_context_data(leases=booked_in(blackout), may_cancel=ends, **kwargs)


class NewBlackout(_StaffMixin, FormPage):
    """Announce one."""

    form_class = BlackoutForm
    title = _("Announce a blackout")
    intro = _("Nothing can be booked in it. What is booked already stays; the next page names those reservations.")
    submit_label = _("Announce")
    success_message = _("The blackout is announced.")

    def cancel_url(self) -> str:
        return reverse("allocations:rules")

    def perform(self, form: Any) -> Any:
        return announce_blackout(actor=self.request.user, **form.cleaned_data)


class CancelBlackout(_StaffMixin, ObjectFormPage):
    """Its window can be booked again."""

    model = Blackout
    form_class = ReasonForm
    title = _("Cancel the blackout")
    submit_label = _("Cancel the blackout")
    success_message = _("The blackout is cancelled. Its window can be booked again.")

    def perform(self, form: Any) -> str:
        cancel_blackout(actor=self.request.user, blackout=self.object, **form.cleaned_data)
        return reverse("allocations:rules")
