"""Officers and assignments: the board of a call, one proposal's reviews side by side."""

from typing import Any

from django.core.paginator import Paginator
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency
from common.form_pages import ObjectFormPage
from common.gates import Gate
from common.permissions import allowed
from common.web import ObjectPage, VerbView
from partners.forms import ReasonForm
from proposals.forms.reviewing import AssignForm, WaiveForm
from proposals.models import Assignment, Call, Proposal
from proposals.rules import may_assign
from proposals.selectors.board import board_counts, board_rows, desks, reviewer_counts, sheet_of, step_counts
from proposals.selectors.reviewers import people_of_pool
from proposals.selectors.reviewing import standing_of
from proposals.services import assigning, declaring, reviewing
from proposals.visibility import Part, role_of, seen, sees_reviewers

PER_PAGE = 25


class _OfCall(Gate):
    gate: Any = is_agency
    model: Any = Call
    object_name = "call"


class Board(_OfCall, ObjectPage):
    """Who has what in a call, the load of each, and the buttons that propose and send."""

    template_name = "proposals/board.html"
    gate = may_assign

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        call = self.object
        counts = board_counts(call)
        keys = list(counts)
        if self.request.GET.get("missing"):
            keys = [key for key in keys if counts[key] < call.reviews_needed]
        page = Paginator(keys, PER_PAGE).get_page(self.request.GET.get("page"))
        return super().get_context_data(
            page_obj=page,
            paginator=page.paginator,
            is_paginated=page.has_other_pages(),
            rows=board_rows(call, list(page.object_list)),
            desks=desks(),
            proposals=len(counts),
            short=sum(found < call.reviews_needed for found in counts.values()),
            only_missing=bool(self.request.GET.get("missing")),
            **kwargs,
        )


class _CallVerb(_OfCall, VerbView):
    gate = may_assign

    def board(self) -> str:
        """Back to the board."""
        return reverse("proposals:call-assignments", args=[self.object.public_id])


class Propose(_CallVerb):
    """Fill what is missing."""

    def perform(self) -> str:
        plan = assigning.propose_for_call(actor=self.request.user, call=self.object)
        found, short = len(plan.matches), sum(plan.short.values())
        self.success_message = ngettext(
            "%(count)s assignment is proposed.", "%(count)s assignments are proposed.", found
        ) % {"count": found}
        if short:
            self.success_message += " " + gettext("%(short)s places stay open: nobody without a conflict has room.") % {
                "short": short
            }
        return self.board()


class Send(_CallVerb):
    """Ask those who are proposed."""

    def post(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().post(request, *args, **kwargs)
        answer["Location"] = self.board()
        return answer

    def perform(self) -> str:
        count = assigning.send(actor=self.request.user, call=self.object)
        self.success_message = ngettext("%(count)s review is asked for.", "%(count)s reviews are asked for.", count) % {
            "count": count
        }
        return self.board()


class Progress(_OfCall, ObjectPage):
    """How far a call has come: steps, and for those who may know them the reviewers, who is behind first."""

    template_name = "proposals/progress.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        return super().get_context_data(
            steps=step_counts(self.object),
            sees_reviewers=(sees := sees_reviewers(user.agency_roles)),
            reviewers=reviewer_counts(self.object) if sees else [],
            runs=allowed(user, may_assign),
            **kwargs,
        )


class _OfProposal(Gate):
    gate: Any = may_assign
    model: Any = Proposal
    object_name = "proposal"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("call", "organisation")  # type: ignore[misc]

    def cancel_url(self) -> str:
        """Back to the sheet."""
        return reverse("proposals:proposal-reviews", args=[self.object.public_id])  # type: ignore[attr-defined]


class Sheet(_OfProposal, ObjectPage):
    """All reviews of one proposal side by side; for those who see them (visibility.py)."""

    template_name = "proposals/sheet.html"
    gate = is_agency

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        call = self.object.call
        parts = seen(role_of(user.agency_roles), "panel", blind=call.blind, reviewers_see=call.reviewers_see)
        sees = Part.OTHERS in parts
        return super().get_context_data(
            sees=sees,
            sheet=sheet_of(self.object) if sees else None,
            standing=standing_of(self.object),
            sees_standing=Part.STANDING in parts,
            runs=allowed(user, may_assign),
            **kwargs,
        )


class Assign(_OfProposal, ObjectFormPage):
    """One more reviewer, by hand."""

    form_class: Any = AssignForm
    title = _("Assign a reviewer")
    intro = _("Conflicts of interest and full desks are refused. The reviewer is told when you send.")
    submit_label = _("Assign")
    success_message = _("The reviewer is assigned; send the assignments from the board.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "people": people_of_pool(blind=self.object.call.blind)}

    def perform(self, form: Any) -> str:
        assigning.assign(actor=self.request.user, proposal=self.object, reviewer=form.cleaned_data["reviewer"])
        return self.cancel_url()


class Waive(_OfProposal, ObjectFormPage):
    """Let somebody review in spite of a conflict."""

    form_class: Any = WaiveForm
    title = _("Waive a conflict of interest")
    intro = _("The reviewer may then read and judge this proposal. Every conflict that stands now is set aside.")
    submit_label = _("Waive")
    danger = True
    success_message = _("The conflict is waived, with your reason on file.")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "people": people_of_pool()}

    def get_initial(self) -> dict[str, Any]:
        return {"reviewer": self.request.GET.get("reviewer")}

    def perform(self, form: Any) -> str:
        data = form.cleaned_data
        declaring.waive(actor=self.request.user, proposal=self.object, reviewer=data["reviewer"], reason=data["reason"])
        return self.cancel_url()


class _OfAssignment(Gate, ObjectFormPage):
    gate = may_assign
    model: Any = Assignment
    object_name = "assignment"
    form_class: Any = ReasonForm

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("proposal", "reviewer")

    def cancel_url(self) -> str:
        return reverse("proposals:proposal-reviews", args=[self.object.proposal.public_id])


class Remove(_OfAssignment):
    """Take a proposal away from a reviewer."""

    title = _("Take the review away")
    intro = _("What the reviewer wrote is kept, and counts no longer.")
    submit_label = _("Take it away")
    danger = True
    success_message = _("The review is taken away.")

    def perform(self, form: Any) -> str:
        assigning.remove(actor=self.request.user, assignment=self.object, reason=form.cleaned_data["reason"])
        return self.cancel_url()


class Reopen(_OfAssignment):
    """Give a submitted review back to be changed."""

    title = _("Open the review again")
    intro = _("The reviewer is told and can change it. An expert review that had passed is open again.")
    submit_label = _("Open again")
    success_message = _("The review is open again.")

    def perform(self, form: Any) -> str:
        reviewing.reopen(actor=self.request.user, assignment=self.object, reason=form.cleaned_data["reason"])
        return self.cancel_url()
