"""The officers' editor of a call: one page a section, each saved by itself."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from common.errors import DomainError
from common.form_pages import FormPage, ObjectFormPage
from common.gates import Gate, ObjectGate
from common.overtaken import SavedMeanwhile
from common.permissions import allowed
from common.web import ObjectPage, VerbView
from partners.forms import ReasonForm
from proposals.call_words import missing_of
from proposals.forms.call_parts import SectionForm
from proposals.forms.call_sections import SECTION_FORMS
from proposals.forms.calls import CallDocumentForm, NewCallForm, PublishForm
from proposals.models import Call
from proposals.rules import may_edit_call
from proposals.selectors.eligibility import conditions_of
from proposals.services import call_documents, calls
from proposals.terms import SECTIONS, CallTerms

SECTION_TITLES: dict[str, Any] = {
    "texts": _("Title and text"),
    "who": _("Who may propose"),
    "pools": _("Pools and budget"),
    "criteria": _("Criteria"),
    "questions": _("Questions"),
    "steps": _("Steps and reviews"),
    "dates": _("Dates"),
    "fast_lane": _("Fast lane and holding back"),
    "documents": _("Documents"),
}


SECTION_INTROS: dict[str, Any] = {
    "texts": _("A draft can be changed in everything. Of an open call: the words, a later cut-off, larger budgets."),
    "who": _("Each organisation sees on the call's page whether it meets this, before it writes."),
    "pools": _("What is offered, and how much of it may be awarded in all."),
    "criteria": _("What reviewers score, each on its scale; the weights say how much it counts in the sum."),
    "questions": _("What every proposal answers beyond the common form."),
    "steps": _("The steps between submission and decision, in this order. A step that is not taken is left out."),
    "dates": _("The cut-off, and the days that partners should know of."),
    "fast_lane": _("How small asks are decided, and what each award holds back at first."),
}


def section_url(call: Call, section: str) -> str:
    """The address of a page of the editor."""
    name = "call-edit" if section == "texts" else f"call-{section.replace('_', '-')}"
    return reverse(f"proposals:{name}", args=[call.public_id])


class EditorPage(ObjectGate, ObjectFormPage):
    """A page of the editor, with the way to the others and what is still missing."""

    model = Call
    object_name = "call"
    gate = may_edit_call
    section = "texts"
    template_name = "proposals/call_section.html"
    submit_label = _("Save")
    success_message = _("The call is saved.")

    @cached_property
    def terms(self) -> CallTerms:
        """What the call said when the page was asked for."""
        return calls.terms_of(self.object)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        missing = missing_of(self.terms, self.object.published_at)
        lacking = {gap.section for gap in missing}
        return super().get_context_data(
            **{
                "title": SECTION_TITLES[self.section],
                "sections": [
                    (section_url(self.object, name), label, name == self.section, name in lacking)
                    for name, label in SECTION_TITLES.items()
                ],
                "missing": missing,
                **kwargs,
            }
        )


class SectionPage(EditorPage):
    """A section of the terms (`section`, told by its address): the form knows the fields, the service the rules."""

    overtaken: SavedMeanwhile | None = None

    def get_form_class(self) -> type[SectionForm]:
        return SECTION_FORMS[self.section]

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "call": self.object, "terms": self.terms}

    def get_initial(self) -> dict[str, Any]:
        return {}

    def perform(self, form: Any) -> str:
        try:
            calls.edit_call(
                actor=self.request.user,
                call=self.object,
                changes=form.changes(),
                opened_on=form.cleaned_data["opened_on"],
                opened_parts=SECTIONS[self.section],
            )
        except SavedMeanwhile as refusal:
            self._compare(form, refusal)
            raise
        except DomainError as refusal:
            if refusal.field and form.place(refusal.field, str(refusal)):
                text = _("This cannot be kept. Please look at the marked field.")
                raise DomainError(text, code=refusal.code) from None
            raise
        return section_url(self.object, self.section)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(overtaken=self.overtaken, intro=SECTION_INTROS[self.section], **kwargs)

    def _compare(self, form: Any, refusal: SavedMeanwhile) -> None:
        """What differs is shown, what was typed stays, and saving again means it."""
        self.overtaken = refusal
        form.data = form.data.copy()
        form.data["opened_on"] = refusal.facts["mark"]


class Documents(EditorPage):
    """Files that everybody may download."""

    section = "documents"
    form_class = CallDocumentForm
    template_name = "proposals/call_documents.html"
    submit_label = _("Upload")
    success_message = _("The document is with the call.")
    intro = _("Terms, forms, examples: everybody who reads the call may download them.")

    def perform(self, form: Any) -> str:
        upload = form.cleaned_data["document"]
        call_documents.add_document(actor=self.request.user, call=self.object, upload=upload)
        return section_url(self.object, "documents")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(documents=list(self.object.documents.all()), **kwargs)


class CallVerb(VerbView):
    """A button of the editor; whoever may not edit calls does not get to it."""

    model = Call

    def fetch(self) -> Any:
        call = super().fetch()
        if not allowed(self.request.user, may_edit_call):
            raise PermissionDenied
        return call


class DocumentRemove(CallVerb):
    success_message = _("The document is taken away.")

    def perform(self) -> str:
        document = get_object_or_404(self.object.documents, public_id=self.kwargs["document_id"])
        call_documents.remove_document(actor=self.request.user, call=self.object, document=document)
        return section_url(self.object, "documents")


class CallNew(Gate, FormPage):
    """A draft begins with a name; the editor asks for the rest."""

    gate = may_edit_call
    form_class = NewCallForm
    title = _("New call")
    intro = _("A draft is seen by the agency alone until you publish it.")
    submit_label = _("Begin the draft")
    success_message = _("The draft is begun. Fill in its sections, then publish it.")

    def cancel_url(self) -> str:
        return reverse("proposals:staff-calls")

    def perform(self, form: Any) -> str:
        return section_url(calls.create_call(actor=self.request.user, **form.cleaned_data), "texts")


class CallPublish(ObjectGate, ObjectFormPage):
    model = Call
    object_name = "call"
    gate = may_edit_call
    form_class = PublishForm
    template_name = "proposals/call_publish.html"
    title = _("Publish the call")
    intro = _("Everybody sees it then, without signing in. What it offers and asks stands from that moment on.")
    submit_label = _("Publish")
    success_message = _("The call is published.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = missing_of(calls.terms_of(self.object), self.object.published_at)
        missing = [(section_url(self.object, gap.section), SECTION_TITLES[gap.section], gap) for gap in found]
        return super().get_context_data(missing=missing, **kwargs)

    def perform(self, form: Any) -> Call:
        return calls.publish_call(actor=self.request.user, call=self.object, at=form.cleaned_data["at"])


class CallCancel(ObjectGate, ObjectFormPage):
    model = Call
    object_name = "call"
    gate = may_edit_call
    form_class = ReasonForm
    title = _("Cancel the draft")
    intro = _("The draft stays for the record and can be copied; it is never published.")
    submit_label = _("Cancel the draft")
    danger = True
    success_message = _("The draft is cancelled.")

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        form.fields["reason"].help_text = _("It stays with the call; only the agency reads it.")
        return form

    def check_open(self) -> None:
        calls.check_cancellable(self.object)

    def perform(self, form: Any) -> Call:
        return calls.cancel_call(actor=self.request.user, call=self.object, reason=form.cleaned_data["reason"])


class CallCopy(CallVerb):
    success_message = _("This is the copy, a draft without dates. Set its dates, then publish it.")

    def perform(self) -> str:
        return section_url(calls.copy_call(actor=self.request.user, call=self.object), "dates")


class CallPreview(ObjectGate, ObjectPage):
    """The page as everybody will see it."""

    model = Call
    object_name = "call"
    gate = may_edit_call
    template_name = "proposals/public_call.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(preview=True, **public_facts(self.object), **kwargs)


def public_facts(call: Call) -> dict[str, Any]:
    """What everybody may know of a call: a fixed number of queries."""
    return {
        "offers": list(call.offers.select_related("pool__gpu_class")),
        "documents": list(call.documents.all()),
        "dates": list(call.dates.all()),
        "criteria": list(call.criteria.all()),
        "questions": list(call.questions.all()),
        "conditions": conditions_of(call),
    }
