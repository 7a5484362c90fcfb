"""Pages about proposals, for both sides."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.rules import may_run_programme
from allocations.services.held_back import part_of
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment, number
from common.web import ListPage, ObjectPage, VerbView
from partners.forms import ReasonForm
from partners.rules import MANAGING, role_in
from projects.models import Project
from proposals.filters import ProposalFilter
from proposals.lifecycle import PROPOSAL
from proposals.models import Decision, PreparedDecision, Proposal, ProposalStep
from proposals.rules import may_answer, may_judge
from proposals.selectors import OPEN_PREPARED, listed
from proposals.selectors.contents import answers_of, current_attachments, unanswered
from proposals.selectors.readiness import readiness_of, with_steps_due
from proposals.selectors.reviewing import shown_review
from proposals.services import appealing, beforehand, decisions, drafting

ASK_COLUMNS = (
    Column("title", _("Title"), lambda p: p.title, link=lambda p: p.get_absolute_url(), sort="title"),
    Column("organisation", _("Organisation"), lambda p: p.organisation.name, sort="organisation__name_ko"),
    Column(
        "asked_gpus",
        _("Asked, GPUs"),
        lambda p: p.asked_gpus or 0,
        cell=lambda p: number(p.asked_gpus or 0),
        sort="asked_gpus",
        numeric=True,
    ),
    Column(
        "asked_gpu_hours",
        _("Asked, GPU-hours"),
        lambda p: p.asked_gpu_hours or 0,
        cell=lambda p: number(p.asked_gpu_hours or 0),
        sort="asked_gpu_hours",
        numeric=True,
    ),
    Column(
        "submitted_at",
        _("Submitted"),
        lambda p: p.submitted_at.isoformat() if p.submitted_at else "",
        cell=lambda p: moment(p.submitted_at),
        sort="submitted_at",
    ),
    Column("state", _("State"), lambda p: p.state, sort="state", badge="proposal"),
)
NUMBER_COLUMN = Column(
    "number", _("Number"), lambda p: p.number or "–", link=lambda p: p.get_absolute_url(), sort="number"
)


class ProposalList(ListPage):
    model = Proposal
    filterset_class = ProposalFilter
    default_order = "-created_at"
    title = _("Proposals")
    empty_text = _("No proposal yet. Open a call and write the first one.")
    export_name = "proposals"
    create_url_name = "proposals:calls"
    create_label = _("To the calls")
    columns = (NUMBER_COLUMN, *ASK_COLUMNS)

    def get_queryset(self) -> Any:
        return listed(super().get_queryset())

    def may_create(self) -> bool:
        return not self.request.user.is_agency  # type: ignore[union-attr]


class ProposalPage(ObjectPage):
    """Ask and award side by side, the history, and what happens next."""

    model = Proposal
    object_name = "proposal"
    template_name = "proposals/proposal.html"

    def get_queryset(self) -> Any:
        # What there is once or not at all comes along with the row.
        beside = ("fast_lane", "appeal__made_by", "appeal__answered_by", "appeal__against")
        rows = super().get_queryset().select_related("organisation", "agreement", "call", "created_by", *beside)
        return with_steps_due(rows)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, proposal = self.request.user, self.object
        role = role_in(user, proposal.organisation)
        officer = may_run_programme.test(user, None)
        runs = officer and not role  # nobody decides on their own organisation (partners.services.strangers)
        history = list(
            proposal.decisions.select_related("decided_by", "approved_by", "released_by", "letter").prefetch_related(
                "lines__pool"
            )
        )
        award = next((row for row in history if row.kind == Decision.Kind.AWARD), None)
        given = {line.request_id: line for line in award.lines.all()} if award else {}
        awarded = sum(line.gpu_seconds for line in given.values())
        held_back = sum(part_of(line.gpu_seconds, proposal.call.held_back_percent) for line in given.values())
        lines = list(proposal.lines.select_related("gpu_class"))
        events, review = PROPOSAL.events_from(proposal.state), shown_review(user, proposal)
        return super().get_context_data(
            rows=[(line, given.get(line.pk)) for line in lines],
            asked_gpu_seconds=sum(line.gpu_seconds for line in lines),
            awarded_gpu_seconds=awarded,
            held_back=held_back,
            granted_first=awarded - held_back,
            asked_gpus=sum(line.gpus for line in lines),
            awarded_gpus=sum(line.gpus for line in given.values()),
            award=award,
            history=history,
            latest=history[0] if history else None,
            team=list(proposal.team.all()),
            answers=answers_of(proposal),
            unanswered=unanswered(proposal),
            files=current_attachments(proposal),
            versions=proposal.versions.select_related("submitted_by"),
            project=self._project(),
            partner_events=events if role in MANAGING else (),
            officer_events=events if runs else (),
            own_organisation=officer and bool(role) and bool(events),
            may_copy=role in MANAGING,
            appeal=getattr(proposal, "appeal", None),
            answers_appeal=self._answers_appeal(),
            may_appeal=role in MANAGING and appealing.appealable(proposal) is not None,
            appeal_until=appealing.last_moment(history[0]) if history and history[0].kind == "decline" else None,
            prepared=self._prepared(),
            may_edit=role in MANAGING and proposal.state in drafting.EDITABLE,
            review=review,
            **self._readiness(review.steps if runs and "award" in events else None),
            **kwargs,
        )

    def _readiness(self, steps: list[ProposalStep] | None) -> dict[str, Any]:
        """What of the review is missing before a decision, for those who decide; None: nothing is decided here now."""
        if steps is None:
            return {"readiness": None}
        found = readiness_of(self.object, steps)
        takes = found.next_step is not None and allowed(self.request.user, may_judge, found.next_step)
        return {"readiness": found, "takes_step": takes}

    def _prepared(self) -> PreparedDecision | None:
        """What is prepared and not yet said, for the agency; nothing is asked once it is decided."""
        if not self.request.user.is_agency or not PROPOSAL.allows(self.object.state, "award"):
            return None
        return self.object.prepared.filter(state__in=OPEN_PREPARED).first()

    def _answers_appeal(self) -> bool:
        """Whether the reader may answer the appeal: whoever had a part in what it is against may not."""
        made = getattr(self.object, "appeal", None)
        return made is not None and self.request.user.pk not in made.against.took_part

    def _project(self) -> Project | None:
        """What it became; nothing is asked before it was accepted."""
        if self.object.state != "accepted":
            return None
        return Project.objects.filter(proposal_ref=self.object.public_id).first()


class _PartnerVerb(VerbView):
    model = Proposal

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation")


class ProposalWithdraw(_PartnerVerb):
    success_message = _("The proposal is withdrawn.")

    def perform(self) -> None:
        drafting.withdraw(actor=self.request.user, proposal=self.object)


class ProposalAccept(_PartnerVerb):
    success_message = _("The award is accepted. This is the project; its GPUs can be booked from its allocations.")

    def perform(self) -> Any:
        return decisions.accept(actor=self.request.user, proposal=self.object)


class ProposalRefuse(ObjectGate, ObjectFormPage):
    model = Proposal
    object_name = "proposal"
    gate = may_answer
    form_class = ReasonForm
    title = _("Refuse the award")
    intro = _("Nothing is kept back for you then. The officer reads your reason.")
    submit_label = _("Refuse the award")
    danger = True
    success_message = _("The award is refused.")

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def check_open(self) -> None:
        beforehand.check(actor=self.request.user, proposal=self.object, event="refuse")

    def perform(self, form: Any) -> Proposal:
        return decisions.refuse(
            actor=self.request.user,
            proposal=self.object,
            reason=form.cleaned_data["reason"],
        )
