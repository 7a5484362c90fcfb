"""Idle GPUs and breaches: the list, the page that both sides read, what each may do."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from allocations.models import Lease
from allocations.rules import may_end
from common.downloads import csv_file
from common.form_pages import ObjectFormPage
from common.gates import Gate
from common.permissions import allowed
from common.quantities import seconds_to_hours
from common.tables import Column, csv_rows
from common.templatetags.bitgoeul import hours, moment
from common.web import ListPage, ObjectMixin, ObjectPage, Page, VerbView
from usage.filters import IdleCaseFilter
from usage.forms.idle import (
    AppealForm,
    BreachForm,
    CarryOutForm,
    DismissForm,
    ReplyForm,
    StopForm,
    UpholdForm,
)
from usage.lifecycle import ANSWERABLE, IDLE_CASE
from usage.lines import evidence_heads, evidence_lines
from usage.models import IdleCase
from usage.rule_words import sentences
from usage.rules import may_answer_appeals, may_open_breaches, may_speak, may_stop_cases
from usage.selectors.cases import open_case
from usage.selectors.idle_now import idle_now, offers
from usage.selectors.picture import MOST_STRETCHES, picture
from usage.services import acting, answering, breaches
from usage.services.giving_back import give_back_idle

_AROUND = ("rule__pool", "rule__agreement", "lease__allocation__project__organisation", "lease__allocation__pool")


class IdleCaseList(ListPage):
    """Cases that one may see: the agency all, partners their own."""

    model = IdleCase
    filterset_class = IdleCaseFilter
    title = _("Idle GPUs")
    empty_text = _("No case yet. One is opened when GPUs stand idle for longer than a rule allows.")
    export_name = "idle-cases"
    default_order = "-detected_at"
    columns = (
        Column("id", _("Number"), lambda row: row.public_id, link=lambda row: row.get_absolute_url()),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="idle case"),
        Column("kind", _("Kind"), lambda row: row.get_kind_display(), sort="kind"),
        Column(
            "organisation",
            _("Organisation"),
            lambda row: row.lease.allocation.project.organisation.name,
            sort="lease__allocation__project__organisation__name_ko",
        ),
        Column("project", _("Project"), lambda row: row.lease.allocation.project.title),
        Column(
            "lease", _("Reservation"), lambda row: row.lease.public_id, link=lambda row: row.lease.get_absolute_url()
        ),
        Column("gpus", _("GPUs"), lambda row: row.gpus, sort="gpus", numeric=True),
        Column(
            "idle",
            _("Idle, GPU-hours"),
            lambda row: seconds_to_hours(row.idle_seconds),
            cell=lambda row: hours(row.idle_seconds),
            sort="idle_seconds",
            numeric=True,
        ),
        Column(
            "detected",
            _("Found"),
            lambda row: row.detected_at.isoformat(),
            cell=lambda row: moment(row.detected_at),
            sort="detected_at",
        ),
        Column(
            "due",
            _("Due"),
            lambda row: row.due_at.isoformat() if row.due_at else "",
            cell=lambda row: moment(row.due_at) if row.due_at else "–",
            sort="due_at",
        ),
        Column(
            "returned",
            _("Came back, GPU-hours"),
            lambda row: seconds_to_hours(row.returned_seconds),
            cell=lambda row: hours(row.returned_seconds),
            sort="returned_seconds",
            numeric=True,
        ),
    )

    def get_queryset(self) -> Any:
        gpus = Count("devices", filter=Q(devices__used_again_at=None))
        return super().get_queryset().select_related(*_AROUND).annotate(gpus=gpus)


class _CaseMixin:
    model: Any = IdleCase
    object_name = "case"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(*_AROUND)  # type: ignore[misc]


class IdleCasePage(_CaseMixin, ObjectPage):
    """Where it stands, what was measured, what was said, and what one may do."""

    template_name = "usage/idle_case.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """`?format=csv`: the evidence as a file."""
        self.picture = picture(self.object)
        if self.picture is not None and request.GET.get("format") == "csv":
            return csv_file(
                csv_rows(evidence_heads(), evidence_lines(self.picture)), f"{self.object.public_id}-evidence"
            )
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        case, user = self.object, self.request.user
        speaks = case.state in ANSWERABLE and allowed(user, may_speak, case)
        officer, stops = allowed(user, may_answer_appeals), allowed(user, may_stop_cases)
        finishes = case.is_open and allowed(user, may_end, case.lease)
        return super().get_context_data(
            picture=self.picture,
            most_shown=MOST_STRETCHES,
            slice_shown=f":{MOST_STRETCHES}",
            sentences=sentences(case.rule) if case.rule else [],
            steps=case.steps.select_related("by"),
            idle_now=idle_now(case.lease, timezone.now()) if finishes else None,
            may_reply=speaks,
            may_appeal=speaks and case.appealed_at is None,
            may_answer=officer and IDLE_CASE.allows(case.state, "uphold"),
            may_stop=stops and IDLE_CASE.allows(case.state, "stop"),
            may_carry_out=officer and acting.proposes(case),
            **kwargs,
        )


class LeaseIdle(ObjectMixin, TemplateView):
    """The part of a running reservation's page that says what stands idle: fetched by itself, after the page."""

    model = Lease
    object_name = "lease"
    template_name = "usage/_lease_notice.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lease, user = self.object, self.request.user
        runs = lease.state == "active"
        return super().get_context_data(
            idle_case=open_case(lease) if runs else None,
            idle_now=idle_now(lease, timezone.now()) if runs and allowed(user, may_end, lease) else None,
            may_end_for_breach=runs and allowed(user, may_open_breaches),
            **kwargs,
        )


class IdleOffers(Page):
    """What the reader could give back at this moment: the part of the first page that is fetched by itself, after it;
    a page of its own without JavaScript.
    """

    def get_template_names(self) -> list[str]:
        """The part alone for htmx."""
        return ["usage/_idle_offers.html" if getattr(self.request, "htmx", False) else "usage/idle_offers.html"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(offers=offers(self.request.user, timezone.now()), **kwargs)


class ReplyPage(_CaseMixin, ObjectFormPage):
    """A word to the officers."""

    form_class = ReplyForm
    title = _("Reply")
    intro = _("The officers read it. The course goes on unless they stop it; to ask that nothing be taken, appeal.")
    submit_label = _("Send the reply")
    success_message = _("The reply is sent.")

    def perform(self, form: Any) -> IdleCase:
        return answering.reply(actor=self.request.user, case=self.object, **form.cleaned_data)


class AppealPage(_CaseMixin, ObjectFormPage):
    """Once in a case."""

    form_class = AppealForm
    title = _("Appeal")
    intro = _("You can appeal once. An officer answers; if nobody does in time, the rule goes on.")
    submit_label = _("Appeal")
    success_message = _("The appeal is with the officers.")

    def perform(self, form: Any) -> IdleCase:
        return answering.appeal(actor=self.request.user, case=self.object, **form.cleaned_data)


class GiveBackIdle(VerbView):
    """One click: the idle GPUs of a reservation go back, and their hours return."""

    model = Lease
    success_message = _("The idle GPUs are being taken back. Their hours return when the node has let go of them.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def perform(self) -> Any:
        return give_back_idle(actor=self.request.user, lease=self.object, devices=self.request.POST.getlist("devices"))


class _Decide(Gate, _CaseMixin, ObjectFormPage):
    gate: Any = may_answer_appeals


class UpholdPage(_Decide):
    """The appeal is right."""

    form_class = UpholdForm
    title = _("Uphold the appeal")
    submit_label = _("Uphold it")
    success_message = _("The case is over. Nothing is taken.")

    def perform(self, form: Any) -> IdleCase:
        return answering.uphold(actor=self.request.user, case=self.object, **form.cleaned_data)


class DismissPage(_Decide):
    """The appeal is not followed."""

    form_class = DismissForm
    title = _("Dismiss the appeal")
    submit_label = _("Dismiss it")
    danger = True
    success_message = _("The appeal is dismissed, and the rule goes on.")

    def perform(self, form: Any) -> IdleCase:
        return answering.dismiss(actor=self.request.user, case=self.object, **form.cleaned_data)


class StopPage(_Decide):
    """No more of it."""

    gate = may_stop_cases
    form_class = StopForm
    title = _("Stop the case")
    submit_label = _("Stop it")
    success_message = _("The case is stopped. Nothing is taken.")

    def perform(self, form: Any) -> IdleCase:
        return answering.stop(actor=self.request.user, case=self.object, **form.cleaned_data)


class CarryOutPage(_Decide):
    """What the rule proposes is done."""

    form_class = CarryOutForm
    title = _("Take the idle GPUs back")
    intro = _("The time to answer is over. Taken are those GPUs that are idle to this moment; the others stay.")
    submit_label = _("Take them back")
    danger = True
    success_message = _("The GPUs are being taken back.")

    def perform(self, form: Any) -> IdleCase:
        return acting.carry_out(actor=self.request.user, case=self.object, **form.cleaned_data)


class BreachPage(Gate, ObjectFormPage):
    """From a running reservation, by officers and operators."""

    gate = may_open_breaches
    model = Lease
    form_class = BreachForm
    title = _("End a reservation for a breach")
    intro = _(
        "The members are told at once what was found and on what ground. The reservation is taken back whole when the "
        "time is over; both sides read the course on a page of its own."
    )
    submit_label = _("Give notice and end it")
    danger = True
    success_message = _("The notice is given.")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project__organisation", "allocation__pool")

    def perform(self, form: Any) -> IdleCase:
        return breaches.open_breach(actor=self.request.user, lease=self.object, **form.cleaned_data)
