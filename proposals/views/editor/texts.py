"""The pages of texts: what the project is about, plan and data."""

from typing import Any

from proposals.asks import About, Part, Plan
from proposals.forms import AboutForm, PlanForm
from proposals.views.editor.base import Step


class EditAbout(Step):
    key = part = "about"
    template_name = "proposals/editor/step.html"

    def build(self, data: Any) -> AboutForm:
        proposal = self.object
        initial = {
            "agreement": proposal.agreement.public_id,
            "title": proposal.title,
            "purposes": proposal.purposes,
        }
        return AboutForm(data, initial=initial, user=self.request.user, proposal=proposal)

    def content(self) -> Part:
        typed = self.form.cleaned_data
        return About(typed["agreement"].public_id, typed["title"], tuple(typed["purposes"]))


class EditPlan(Step):
    key = part = "plan"
    template_name = "proposals/editor/step.html"

    def build(self, data: Any) -> PlanForm:
        return PlanForm(data, initial={"plan": self.object.plan, "data": self.object.data})

    def content(self) -> Part:
        return Plan(self.form.cleaned_data["plan"], self.form.cleaned_data["data"])
