"""Pages about progress reports."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency, may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import Gate, ObjectGate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectPage, VerbView
from partners.forms import ReasonForm
from projects import services
from projects.filters import ProgressFilter
from projects.forms import ProgressForm
from projects.lifecycle import PROGRESS_REPORT
from projects.models import ProgressReport, Project
from projects.rules import may_run_team


class ProgressList(Gate, ListPage):
    """The officers' queue of reports."""

    gate = is_agency
    model = ProgressReport
    filterset_class = ProgressFilter
    default_order = "-submitted_at"
    title = _("Progress reports")
    empty_text = _("No progress report yet. Partners hand them in on the pages of their projects.")
    export_name = "progress-reports"
    columns = (
        Column(
            "project",
            _("Project"),
            lambda r: r.project.title,
            link=lambda r: r.get_absolute_url(),
            sort="project__title",
        ),
        Column("organisation", _("Organisation"), lambda r: r.project.organisation.name),
        Column("from", _("From"), lambda r: r.period_from.isoformat(), sort="period_from"),
        Column("until", _("Until"), lambda r: r.period_until.isoformat(), sort="period_until"),
        Column(
            "submitted",
            _("Submitted"),
            lambda r: r.submitted_at.isoformat(),
            cell=lambda r: moment(r.submitted_at),
            sort="submitted_at",
        ),
        Column("state", _("State"), lambda r: r.state, sort="state", badge="progress report"),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("project__organisation")


class _Report:
    """A page about one report."""

    model: Any = ProgressReport
    object_name = "report"

    def get_queryset(self) -> Any:
        rows = super().get_queryset()  # type: ignore[misc]
        return rows.select_related("project__organisation", "written_by", "decided_by")

    def gate_object(self, obj: ProgressReport) -> Project:
        return obj.project


class ProgressPage(_Report, ObjectPage):
    template_name = "projects/progress.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        report, user = self.object, self.request.user
        events = PROGRESS_REPORT.events_from(report.state)
        return super().get_context_data(
            held_back=services.held_back(report.project),
            officer_events=events if allowed(user, may_run_programme) else (),
            may_change="submit" in events and allowed(user, may_run_team, report.project),
            **kwargs,
        )


class _Form(ObjectGate, ObjectFormPage):
    gate = may_run_team
    form_class: Any = ProgressForm
    intro = _("What was done with the GPUs, what was difficult, and what comes next. An officer reads it.")
    submit_label = _("Hand in")
    success_message = _("The progress report is handed in. You will be told when it is accepted.")


class ProgressNew(_Form):
    model = Project
    object_name = "project"
    title = _("Write a progress report")

    def get_initial(self) -> dict[str, Any]:
        return {"period_from": self.object.began_on}

    def perform(self, form: Any) -> ProgressReport:
        return services.submit_report(actor=self.request.user, project=self.object, content=form.content())


class ProgressEdit(_Report, _Form):
    title = _("Change the progress report")

    def get_initial(self) -> dict[str, Any]:
        return {name: getattr(self.object, name) for name in ProgressForm.base_fields}

    def perform(self, form: Any) -> ProgressReport:
        report = self.object
        return services.submit_report(
            actor=self.request.user, project=report.project, content=form.content(), report=report
        )


class ProgressAccept(_Report, VerbView):
    success_message = _("The progress report is accepted. What was held back is granted.")

    def perform(self) -> None:
        services.accept_report(actor=self.request.user, report=self.object)


class ProgressSendBack(_Report, ObjectGate, ObjectFormPage):
    gate = may_run_programme
    form_class = ReasonForm
    title = _("Send the progress report back")
    intro = _("The partner can change it and hand it in again.")
    submit_label = _("Send back")
    success_message = _("The progress report is sent back.")

    def perform(self, form: Any) -> ProgressReport:
        reason = form.cleaned_data["reason"]
        return services.send_back_report(actor=self.request.user, report=self.object, reason=reason)
