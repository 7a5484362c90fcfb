"""Steps as lists and forms: what waits for whom, and how it ends."""

from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency
from common.form_pages import ObjectFormPage
from common.gates import Gate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage
from partners.forms import ReasonForm
from partners.services.strangers import is_stranger
from proposals.forms.reviewing import VerdictForm
from proposals.models import CallStep, ProposalStep
from proposals.review_filters import StepFilter
from proposals.rules import may_decide, may_judge
from proposals.selectors import pool_capacities
from proposals.services import stepping


class StepList(Gate, ListPage):
    """What waits in the steps, the oldest deadline first."""

    gate = is_agency
    model = ProposalStep
    filterset_class = StepFilter
    default_order = "due_at"
    title = _("Steps of review")
    empty_text = _("No step waits. They open one after the other once the review of a proposal has begun.")
    export_name = "steps"
    columns = (
        Column("number", _("Number"), lambda s: s.proposal.number, link=lambda s: s.get_absolute_url()),
        Column("title", _("Title"), lambda s: s.proposal.title, link=lambda s: s.proposal.get_absolute_url()),
        Column("organisation", _("Organisation"), lambda s: s.proposal.organisation.name),
        Column("kind", _("Step"), lambda s: s.get_kind_display(), sort="place"),
        Column("owner", _("Whose"), lambda s: str(s.owner) if s.owner else "", sort="owner__name"),
        Column("due_at", _("Due"), lambda s: s.due_at, cell=lambda s: moment(s.due_at), sort="due_at"),
        Column("overdue", _("Overdue, days"), lambda s: (timezone.now() - s.due_at).days if s.is_overdue else ""),
        Column("state", _("State"), lambda s: s.state, sort="state", badge="step"),
    )

    def get_queryset(self) -> Any:
        rows: Any = super().get_queryset()
        return rows.current().select_related("proposal__organisation", "owner")


class _StepPage(Gate, ObjectFormPage):
    gate: Any = is_agency
    model = ProposalStep
    object_name = "step"
    form_class: Any = ReasonForm

    def get_queryset(self) -> Any:
        related = ("proposal__call", "proposal__organisation", "owner", "closed_by", "pool", "gpu_class")
        return super().get_queryset().select_related(*related)

    def cancel_url(self) -> str:
        return str(self.object.proposal.get_absolute_url())


class StepPage(_StepPage):
    """A step: what it looks at, and the form of its verdict for those who may give it."""

    template_name = "proposals/step.html"
    form_class = VerdictForm
    submit_label = _("Record the verdict")
    success_message = _("The verdict is recorded.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "step": self.object}

    def perform(self, form: Any) -> str:
        data = form.cleaned_data
        pool = data.get("pool")
        stepping.judge(
            actor=self.request.user,
            step=self.object,
            verdict=data["verdict"],
            note=data["note"],
            pool=pool,
            gpu_class=pool.gpu_class if pool else None,
        )
        return str(self.object.proposal.get_absolute_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, step = self.request.user, self.object
        is_open = step.state == "open"
        own = is_open and not is_stranger(user, step.proposal.organisation)
        lines = list(step.proposal.lines.select_related("gpu_class"))
        return super().get_context_data(
            **{
                "title": step.get_kind_display(),
                "proposal": step.proposal,
                "lines": self._capacities(lines) if step.kind == CallStep.Kind.TECHNICAL else [(x, []) for x in lines],
                "may_judge": is_open and allowed(user, may_judge, step) and not own,
                "own_organisation": own,
                "may_reopen": allowed(user, may_decide) and step.state in ("passed", "failed"),
                **kwargs,
            }
        )

    def _capacities(self, lines: list[Any]) -> list[Any]:
        """Each line with the pools of the call and what they have free in its window."""
        pools = list(self.object.proposal.call.pools.select_related("gpu_class"))
        found = pool_capacities(pools, {(line.window_from, line.window_until) for line in lines})
        return [(line, [found[pool.pk, line.window_from, line.window_until] for pool in pools]) for line in lines]


class StepReopen(_StepPage):
    """Take a verdict back."""

    gate = may_decide
    title = _("Open the step again")
    intro = _("The step after it waits again until this one has passed.")
    submit_label = _("Open again")
    success_message = _("The step is open again.")

    def perform(self, form: Any) -> str:
        stepping.reopen(actor=self.request.user, step=self.object, reason=form.cleaned_data["reason"])
        return reverse("proposals:step", args=[self.object.public_id])
