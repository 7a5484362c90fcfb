"""Pages about projects."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.permissions import allowed
from common.tables import Column
from common.web import ListPage, ObjectPage, VerbView
from projects import services
from projects.filters import ProjectFilter
from projects.forms import TeamForm
from projects.models import Project
from projects.rules import may_run_team
from projects.selectors import proposal_name, team_of, use_of, with_team_size


class ProjectList(ListPage):
    model = Project
    filterset_class = ProjectFilter
    default_order = "-created_at"
    title = _("Projects")
    empty_text = _("No project yet. A project begins when a proposal is awarded and the award accepted.")
    export_name = "projects"
    columns = (
        Column("title", _("Title"), lambda p: p.title, link=lambda p: p.get_absolute_url(), sort="title"),
        Column("organisation", _("Organisation"), lambda p: p.organisation.name, sort="organisation__name_ko"),
        Column("agreement", _("Agreement"), lambda p: p.agreement.number, sort="agreement__number"),
        Column("team", _("People"), lambda p: p.team_size, sort="team_size", numeric=True),
        Column("since", _("Since"), lambda p: p.created_at.date().isoformat(), sort="created_at"),
    )

    def get_queryset(self) -> Any:
        return with_team_size(super().get_queryset()).select_related("organisation", "agreement")


class ProjectPage(ObjectPage):
    model = Project
    object_name = "project"
    template_name = "projects/project.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "agreement")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_report = allowed(self.request.user, may_run_team, self.object)
        return super().get_context_data(
            team=team_of(self.object),
            progress_reports=list(self.object.progress_reports.all()[:20]),
            held_back=services.held_back(self.object),
            may_report=may_report,
            use=use_of(self.request.user, self.object),
            figures_url=reverse("usage:figures-of", args=[self.object.organisation.public_id]),
            proposal_name=proposal_name(self.object),
            proposal_url=f"/proposals/{self.object.proposal_ref}/",  # an address above this floor, so not by name
            may_run_team=may_report or allowed(self.request.user, may_run_programme),
            allocations_url=f"{reverse('allocations:allocations')}?project={self.object.public_id}",
            **kwargs,
        )


class TeamAdd(ObjectGate, ObjectFormPage):
    model = Project
    object_name = "project"
    gate = may_run_team | may_run_programme
    form_class = TeamForm
    title = _("Add to the team")
    intro = _(
        "The team may get into the project's reservations. Whoever is missing here is invited on the page of the "
        "organisation first."
    )
    submit_label = _("Add")
    success_message = _("The person is in the team.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "project": self.object}

    def perform(self, form: Any) -> Project:
        member = form.cleaned_data["member"]
        services.add_team_member(actor=self.request.user, project=self.object, user=member.user)
        return self.object


class TeamRemove(VerbView):
    model = Project
    success_message = _("The person is no longer in the team.")

    def perform(self) -> None:
        row = get_object_or_404(team_of(self.object), user__public_id=self.kwargs["user_id"])
        services.remove_team_member(actor=self.request.user, project=self.object, user=row.user)
