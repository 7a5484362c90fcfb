"""The pool of reviewers: officers' list and invitations, and the page behind an invitation's link."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View
from django.views.decorators.cache import never_cache

from accounts.adapter import INVITED_EMAIL
from accounts.models import User
from accounts.rules import is_agency
from common.errors import DomainError
from common.form_pages import FormPage
from common.gates import Gate
from common.tables import Column
from common.templatetags.bitgoeul import number
from common.web import ListPage, VerbView
from proposals.forms.reviewing import InviteReviewerForm
from proposals.models import Proposal, ReviewerInvitation, ReviewerProfile
from proposals.review_filters import ReviewerFilter
from proposals.rules import may_assign
from proposals.selectors.reviewers import open_invitations, with_loads
from proposals.services.reviewers import accept, find, invite, revoke

ACCEPTED = "reviewer_invitation_accepted"  # session key: this visitor pressed "Accept" before signing in


def _purposes(profile: ReviewerProfile) -> str:
    return ", ".join(str(Proposal.Purpose(purpose).label) for purpose in profile.purposes)


class ReviewerList(Gate, ListPage):
    """Who reviews, what they know, and how full their desk is."""

    gate = is_agency
    model = ReviewerProfile
    filterset_class = ReviewerFilter
    template_name = "proposals/reviewers.html"
    default_order = "user__name"
    title = _("Reviewers")
    empty_text = _("The pool is empty. Invite reviewers by mail; they join with the link.")
    export_name = "reviewers"
    create_url_name = "proposals:reviewer-invite"
    create_label = _("Invite a reviewer")
    columns = (
        Column("name", _("Name"), lambda p: p.user.name, link=lambda p: p.get_absolute_url(), sort="user__name"),
        Column("affiliation", _("Affiliation"), lambda p: p.affiliation, sort="affiliation"),
        Column("purposes", _("Kinds of work"), _purposes),
        Column("topics", _("Topics"), lambda p: ", ".join(p.topics)),
        Column("load", _("At work on"), lambda p: p.load, cell=lambda p: number(p.load), sort="load", numeric=True),
        Column("limit", _("At most"), lambda p: p.load_limit, sort="load_limit", numeric=True),
        Column("available", _("Can be asked"), lambda p: _("yes") if p.is_available else _("no")),
    )

    def get_queryset(self) -> Any:
        return with_loads(super().get_queryset())

    def may_create(self) -> bool:
        return bool(may_assign.test(self.request.user, None))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        invitations = open_invitations() if self.may_create() else []
        return super().get_context_data(invitations=invitations, **kwargs)


class ReviewerInvitationRevoke(Gate, VerbView):
    """The link of an invitation that was not accepted yet leads nowhere from now on."""

    gate = may_assign
    model = ReviewerInvitation
    success_message = _("The invitation is revoked.")

    def get_queryset(self) -> Any:
        return ReviewerInvitation.objects.all()

    def perform(self) -> None:
        revoke(actor=self.request.user, invitation=self.object)


class ReviewerInvite(Gate, FormPage):
    """Ask somebody to join the pool."""

    gate = may_assign
    form_class = InviteReviewerForm
    title = _("Invite a reviewer")
    intro = _("The mail holds a link that is valid for two weeks. Whoever joins sets up a second factor first.")
    submit_label = _("Send the invitation")
    success_message = _("The invitation is on its way.")

    def cancel_url(self) -> str:
        return reverse("proposals:reviewers")

    def perform(self, form: Any) -> str:
        invite(actor=self.request.user, email=form.cleaned_data["email"], expertise=form.expertise())
        return reverse("proposals:reviewers")


@method_decorator(never_cache, name="dispatch")
class ReviewerJoin(View):
    """Open to everybody who has the link. The link is the proof that the mail was read."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find(token)
        if self._is_here(invitation) and request.session.get(ACCEPTED) == invitation.public_id:  # type: ignore[union-attr]
            return self._join(invitation)
        return self._page(invitation)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        invitation = find(token)
        if invitation is None or not invitation.is_open:
            return self._page(invitation)
        if self._is_here(invitation):
            return self._join(invitation)
        if request.user.is_authenticated:
            return self._page(invitation)
        request.session[INVITED_EMAIL] = invitation.email
        request.session[ACCEPTED] = invitation.public_id
        known = User.objects.filter(email=invitation.email).exists()
        door = reverse("account_login" if known else "account_signup")
        query = {"next": reverse("proposals:reviewer-join", args=[token])}
        return HttpResponseRedirect(f"{door}?{urlencode(query)}")

    def _is_here(self, invitation: ReviewerInvitation | None) -> bool:
        user: Any = self.request.user
        return bool(invitation and user.is_authenticated and user.email.lower() == invitation.email)

    def _join(self, invitation: Any) -> HttpResponse:
        try:
            accept(actor=self.request.user, invitation=invitation)  # type: ignore[arg-type]
        except DomainError as error:
            messages.error(self.request, str(error))
            return self._page(invitation)
        for key in (INVITED_EMAIL, ACCEPTED):
            self.request.session.pop(key, None)
        messages.success(self.request, gettext("Welcome to the pool of reviewers. Please complete your profile."))
        return HttpResponseRedirect(reverse("proposals:reviewer-profile"))

    def _page(self, invitation: ReviewerInvitation | None) -> HttpResponse:
        user: Any = self.request.user
        alive = invitation is not None and invitation.is_open
        context = {
            "invitation": invitation if alive else None,
            "other_account": alive and user.is_authenticated and not self._is_here(invitation),
        }
        return render(self.request, "proposals/reviewer_join.html", context, status=200 if alive else 410)
