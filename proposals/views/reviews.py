"""A reviewer's own pages: what is assigned, declaring, reading and scoring, the profile."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from accounts.rules import is_reviewer
from common.errors import DomainError
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate
from common.overtaken import SavedMeanwhile
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectMixin, ObjectServicePage
from proposals.downloads import download
from proposals.forms.reviewing import DeclareForm, ProfileForm, ReviewForm, review_initial
from proposals.models import Assignment, ReviewerProfile
from proposals.review_filters import AssignmentFilter
from proposals.rules import may_assign
from proposals.selectors.reading import attachment_of, for_reading, reading_copy, title_for
from proposals.services import declaring, reviewing
from proposals.services.reviewers import profile_for, save_profile
from proposals.services.reviewing import content_of


class ReviewList(Gate, ListPage):
    """The short list: what to review, until when."""

    gate = is_reviewer
    model: Any = Assignment
    filterset_class = AssignmentFilter
    default_order = "due_at"
    title = _("Reviews")
    empty_text = _("Nothing is assigned to you. You are told by mail when the agency asks for a review.")
    export_name = "reviews"
    columns = (
        Column("number", _("Number"), lambda a: a.proposal.number, link=lambda a: a.get_absolute_url()),
        Column("title", _("Title"), title_for, link=lambda a: a.get_absolute_url()),
        Column("call", _("Call"), lambda a: a.proposal.call.title),
        Column("due_at", _("Due"), lambda a: a.due_at, cell=lambda a: moment(a.due_at), sort="due_at"),
        Column("overdue", _("Overdue"), lambda a: _("overdue") if a.is_overdue else ""),
        Column("state", _("State"), lambda a: a.state, sort="state", badge="assignment"),
    )

    def get_queryset(self) -> Any:
        own = Assignment.objects.of(self.request.user)
        return for_reading(own).prefetch_related("proposal__team")


class _OwnReview(Gate):
    """About an assignment of the reader's own; for everybody else, and with a conflict, it does not exist."""

    gate = is_reviewer
    model: Any = Assignment
    object_name = "assignment"

    def get_queryset(self) -> Any:
        return for_reading(Assignment.objects.of(self.request.user))  # type: ignore[attr-defined]


class ReviewDeclare(_OwnReview, ObjectServicePage):
    """Before anything opens: title and, unless the call is blind, whose it is."""

    template_name = "proposals/review_declare.html"
    form_class = DeclareForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.object.state == "done":
            return HttpResponseRedirect(self.object.get_absolute_url())
        return super().get(request, *args, **kwargs)

    def perform(self, form: Any) -> str:
        data = form.cleaned_data
        declaring.declare(
            actor=self.request.user, assignment=self.object, conflict=data["conflict"], words=data["words"]
        )
        if data["conflict"]:
            self.success_message = _("Thank you. The agency knows, and assigns somebody else.")
            return reverse("proposals:reviews")
        return str(self.object.get_absolute_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            copy=reading_copy(self.object), cancel_url=reverse("proposals:reviews"), **kwargs
        )


class ReviewPage(_OwnReview, ObjectServicePage):
    """The proposal and the scoring form side by side; a draft saves by itself."""

    template_name = "proposals/review.html"
    form_class = ReviewForm
    overtaken: SavedMeanwhile | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.object.state == "sent":
            return HttpResponseRedirect(reverse("proposals:review-declare", args=[self.object.public_id]))
        return super().get(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        self.criteria = list(self.object.proposal.call.criteria.all())
        return {**super().get_form_kwargs(), "criteria": self.criteria}

    def get_initial(self) -> dict[str, Any]:
        review = getattr(self.object, "review", None)
        return review_initial(content_of(review), review.revision if review else 0)

    def perform(self, form: Any) -> str:
        submits = self.request.POST.get("action") == "submit"
        verb = reviewing.submit if submits else reviewing.save_draft
        try:
            verb(
                actor=self.request.user,
                assignment=self.object,
                content=form.content(),
                revision=form.cleaned_data["revision"],
            )
        except SavedMeanwhile as error:
            self.overtaken = error
            form.data = {**form.data.dict(), "revision": error.facts["revision"]}
            raise
        if submits:
            self.success_message = _("The review is submitted. Thank you.")
            return reverse("proposals:reviews")
        self.success_message = _("The draft is saved.")
        return str(self.object.get_absolute_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(copy=reading_copy(self.object), **kwargs)
        form = context["form"]
        pairs = [
            (form[f"points_{row.place}"], form[f"comment_{row.place}"], row) for row in getattr(self, "criteria", [])
        ]
        return {
            **context,
            "pairs": pairs,
            "overtaken": self.overtaken,
            "review": getattr(self.object, "review", None),
            "may_write": self.object.state == "open",
        }


class ReviewSave(_OwnReview, ObjectMixin, View):
    """The page saving by itself: a fragment that says so, or why not. Nothing is lost: the form stays as it is."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = ReviewForm(request.POST, criteria=list(self.object.proposal.call.criteria.all()))
        if not form.is_valid():
            return self._said(gettext("Not saved yet: please look at what you typed."), None)
        try:
            review = reviewing.save_draft(
                actor=request.user,
                assignment=self.object,
                content=form.content(),
                revision=form.cleaned_data["revision"],
            )
        except SavedMeanwhile:
            said = gettext(
                "Saved elsewhere meanwhile, so not saved by itself. Press “Save the draft” to see both texts."
            )
            return self._said(said, None)
        except DomainError as error:
            return self._said(str(error), None)
        return self._said(gettext("Saved at %(time)s.") % {"time": moment(review.saved_at, "s")}, review.revision)

    def _said(self, text: str, revision: int | None) -> HttpResponse:
        return render(self.request, "proposals/_review_saved.html", {"text": text, "revision": revision})


class ReviewFile(_OwnReview, ObjectMixin, View):
    """A file of the proposal; in a blind call under a number in place of its name."""

    http_method_names = ["get"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = attachment_of(self.object, str(kwargs["file_id"]))
        if found is None:
            raise Http404
        row, name = found
        return download(row, name)


class ReviewerProfilePage(Gate, FormPage):
    """One's own profile."""

    gate = is_reviewer
    form_class = ProfileForm
    title = _("My reviewer's profile")
    intro = _("What you can judge, how much at a time, and where you worked: conflicts of interest are found by it.")
    submit_label = _("Save")
    success_message = _("The profile is saved.")

    def profile(self) -> ReviewerProfile:
        """The profile that is shown; made at the first visit."""
        if not hasattr(self, "_profile"):
            user: Any = self.request.user
            self._profile = profile_for(actor=user, user=user)
        return self._profile

    def cancel_url(self) -> str:
        return reverse("proposals:reviews")

    def get_initial(self) -> dict[str, Any]:
        return profile_initial(self.profile())

    def perform(self, form: Any) -> str:
        keep_profile(self.request, self.profile(), form)
        return self.request.path


class ReviewerPage(Gate, ObjectFormPage):
    """Any reviewer's profile, for officers."""

    gate = may_assign
    model = ReviewerProfile
    object_name = "profile"
    form_class = ProfileForm
    title = _("Reviewer")
    submit_label = _("Save")
    success_message = _("The profile is saved.")

    def cancel_url(self) -> str:
        return reverse("proposals:reviewers")

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("user")

    def get_initial(self) -> dict[str, Any]:
        return profile_initial(self.object)

    def perform(self, form: Any) -> ReviewerProfile:
        keep_profile(self.request, self.object, form)
        return self.object


def profile_initial(profile: ReviewerProfile) -> dict[str, Any]:
    """A profile as the form's initial values."""
    return {
        "affiliation": profile.affiliation,
        "purposes": profile.purposes,
        "topics": ", ".join(profile.topics),
        "load_limit": profile.load_limit,
        "is_available": profile.is_available,
        "employers": "\n".join(f"{row.name}, {row.until}" for row in profile.former_employers.all()),
        "revision": profile.revision,
    }


def keep_profile(request: HttpRequest, profile: ReviewerProfile, form: Any) -> None:
    """Save it; where somebody saved in between, say what stands there and let the next press save over it."""
    try:
        save_profile(
            actor=request.user, profile=profile, content=form.content(), revision=form.cleaned_data["revision"]
        )
    except DomainError as error:
        if isinstance(error, SavedMeanwhile):
            revision = error.facts["revision"]
            form.data = {**form.data.dict(), "purposes": form.cleaned_data["purposes"], "revision": revision}
            shown = "; ".join(f"{each.label}: {each.stored or '–'}" for each in error.differences)
            messages.warning(request, gettext("What stands there now: %(shown)s") % {"shown": shown})
        raise
