"""The officers' queue and their decisions."""

from typing import Any

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency
from cluster.models import Pool
from common.errors import DomainError
from common.form_pages import ObjectFormPage
from common.gates import Gate, ObjectGate
from common.tables import Column
from common.web import ListPage, VerbView, staff_only
from partners.figures import ceilings
from partners.forms import ReasonForm
from partners.models import Membership
from partners.policy import Committed
from partners.rules import knowing_role
from proposals.filters import QueueFilter
from proposals.forms import AwardLineForm, AwardReasonForm
from proposals.models import Proposal
from proposals.rules import may_decide
from proposals.selectors import came_free, committed, listed, pool_capacities, with_overdue
from proposals.selectors.budgets import left_of
from proposals.selectors.readiness import with_steps_due
from proposals.selectors.reviewing import Standing, standing_of
from proposals.services import beforehand, decisions
from proposals.views.proposals import ASK_COLUMNS, NUMBER_COLUMN


class Queue(Gate, ListPage):
    gate = is_agency
    model = Proposal
    filterset_class = QueueFilter
    default_order = "submitted_at"
    title = _("Queue of proposals")
    empty_text = _("Nothing waits here. New proposals appear as soon as a partner submits them.")
    export_name = "proposal-queue"
    create_url_name = "proposals:import"
    create_label = _("Import proposals")
    template_name = "proposals/queue.html"
    columns = (
        NUMBER_COLUMN,
        *ASK_COLUMNS,
        Column(
            "waiting_days",
            _("Waiting, days"),
            lambda p: (timezone.now() - p.submitted_at).days if p.state in ("submitted", "in_review") else "",
            numeric=True,
        ),
        Column(
            "overdue",
            _("Overdue, days"),
            lambda p: (timezone.now() - p.overdue_since).days if p.overdue_since else "",
            sort="overdue_since",
            numeric=True,
        ),
    )

    def may_create(self) -> bool:
        return bool(may_decide.test(self.request.user, None))

    def get_queryset(self) -> Any:
        return with_overdue(listed(super().get_queryset().exclude(submitted_at=None)))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(came_free=came_free(timezone.now()), **kwargs)


class Staff:
    """A page of the agency's about one proposal; it does not exist for partners."""

    def fetch(self) -> Any:
        user: Any = self.request.user  # type: ignore[attr-defined]
        staff_only(user)
        proposal = super().fetch()  # type: ignore[misc]
        knowing_role(proposal.organisation, user, proposal.readers_role)
        return proposal

    def get_queryset(self) -> Any:
        mine = Membership.objects.filter(
            user=self.request.user.pk,  # type: ignore[attr-defined]
            organisation=OuterRef("organisation"),
        )
        rows: Any = super().get_queryset().select_related("organisation", "agreement", "call")  # type: ignore[misc]
        return rows.annotate(readers_role=Subquery(mine.values("role")[:1]))


class StartReview(Staff, VerbView):
    model = Proposal
    success_message = _("You have taken the proposal into review. The partner knows.")

    def perform(self) -> None:
        decisions.start_review(actor=self.request.user, proposal=self.object)


class StaffDecision(Staff, ObjectGate, ObjectFormPage):
    model = Proposal
    object_name = "proposal"
    gate = may_decide
    form_class: Any = ReasonForm
    event = ""

    def check_open(self) -> None:
        beforehand.check(actor=self.request.user, proposal=self.object, event=self.event)


class Return(StaffDecision):
    event = "return"
    title = _("Return for changes")
    intro = _("The partner can change the proposal and submit it again, under the same number.")
    submit_label = _("Return")
    success_message = _("The proposal is returned.")

    def perform(self, form: Any) -> Proposal:
        reason = form.cleaned_data["reason"]
        return decisions.return_for_changes(actor=self.request.user, proposal=self.object, reason=reason)


class Decline(StaffDecision):
    event = "decline"
    title = _("Decline the proposal")
    intro = _("This ends the proposal. The partner may write a new one.")
    submit_label = _("Decline")
    danger = True
    success_message = _("The proposal is declined.")

    def perform(self, form: Any) -> Proposal:
        reason = form.cleaned_data["reason"]
        return decisions.decline(actor=self.request.user, proposal=self.object, reason=reason)


class Decide(StaffDecision):
    """The award: one row a request line, prefilled with the ask, beside what is free and what the agreement leaves."""

    event = "award"
    template_name = "proposals/decide.html"
    form_class: Any = AwardReasonForm
    title = _("Award")
    submit_label = _("Award")
    success_message = _("Awarded. The partner is asked to accept.")

    def get_queryset(self) -> Any:
        return with_steps_due(super().get_queryset())

    @cached_property
    def standing(self) -> Standing:
        """Where the proposal stands in its review: one query."""
        return standing_of(self.object)

    def check_open(self) -> None:
        beforehand.check(actor=self.request.user, proposal=self.object, event=self.event, steps=self.standing.steps)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.rows = self._rows(None)
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.rows = self._rows(request.POST)
        form = self.get_form()
        whole = [row.is_valid() for row in self.rows]
        return self.form_valid(form) if form.is_valid() and all(whole) else self.form_invalid(form)

    def perform(self, form: Any) -> Any:
        given = [(row, row.ask) for row in self.rows if row.ask]
        try:
            return decisions.award(
                actor=self.request.user,
                proposal=self.object,
                lines=[ask for _row, ask in given],
                reason=form.cleaned_data["reason"],
            )
        except DomainError as error:
            raise self._placed(error, [row for row, _ask in given]) from None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        agreement = self.object.agreement
        used: Committed = committed(agreement, but=self.object)
        pools = list({pool.pk: pool for row in self.rows for pool in row.pools}.values())
        days = {(row.line.window_from, row.line.window_until) for row in self.rows}
        found = pool_capacities(pools, days)
        rows = [
            (row, [found[pool.pk, row.line.window_from, row.line.window_until] for pool in row.pools])
            for row in self.rows
        ]
        return super().get_context_data(
            rows=rows,
            budgets=[budget for budget in left_of(self.object.call) if budget.pool in pools],
            standing=self.standing,
            agreement=agreement,
            ceilings=ceilings(agreement, used),
            gpus_left=max(0, agreement.ceiling_concurrent_gpus - used.concurrent_gpus),
            gpu_seconds_left=max(0, agreement.ceiling_gpu_seconds - used.gpu_seconds),
            **kwargs,
        )

    def _rows(self, data: Any) -> list[AwardLineForm]:
        lines = list(self.object.lines.select_related("gpu_class"))
        pools: dict[int, list[Pool]] = {}
        wanted = Pool.objects.filter(gpu_class_id__in={line.gpu_class_id for line in lines})
        for pool in wanted.select_related("gpu_class"):
            pools.setdefault(pool.gpu_class_id, []).append(pool)
        given = self.given()
        return [
            AwardLineForm(
                data,
                prefix=f"lines-{place}",
                line=line,
                pools=pools.get(line.gpu_class_id, []),
                given=given.get(line.pk),
                blank=bool(given),
            )
            for place, line in enumerate(lines)
        ]

    def given(self) -> dict[int, Any]:
        """By request line, what the rows begin with in place of the ask."""
        return {}

    def _placed(self, error: DomainError, rows: list[AwardLineForm]) -> DomainError:
        parts = (error.field or "").split(".")
        if parts[0] != "lines" or len(parts) != 3:
            return error
        name = {"hours": "gpu_hours"}.get(parts[2], parts[2])
        row = rows[int(parts[1])]
        row.add_error(name if name in row.fields else None, str(error))
        return DomainError(_("This cannot be awarded. Please look at the marked line."), code=error.code)
