"""Letters: the partner's page, a file of it, and the agency's texts."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from common.errors import DomainError
from common.form_pages import FormPage
from common.gates import Gate
from common.overtaken import SavedMeanwhile
from common.web import ObjectMixin, ObjectPage, Page, add_domain_error
from proposals.forms import LetterTextForm
from proposals.letter_texts import PLACES, STANDARD
from proposals.models import DecisionLetter, LetterKind, LetterTemplate
from proposals.rules import may_decide
from proposals.services import letters
from proposals.views.opened import version_of


class _Letter(ObjectMixin):
    model = DecisionLetter
    object_name = "letter"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("proposal__organisation")

    def language(self) -> str:
        """`?in=` one of the site's languages, else the reader's."""
        asked = self.request.GET.get("in", "")  # type: ignore[attr-defined]
        return asked if asked in dict(settings.LANGUAGES) else (get_language() or "ko")


class LetterPage(_Letter, ObjectPage):
    """The letter as it was sent, in either language; its print is the letter alone."""

    template_name = "proposals/letter.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        language = self.language()
        return super().get_context_data(
            language=language,
            subject=self.object.subject_in(language),
            body=self.object.body_in(language),
            other="en" if language.startswith("ko") else "ko",
            **kwargs,
        )


class LetterFile(_Letter, View):
    """The same as a text file."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        letter, language = self.object, self.language()
        text = f"\ufeff{letter.subject_in(language)}\n\n{letter.body_in(language)}\n".replace("\n", "\r\n")
        response = HttpResponse(text, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{letter.public_id}-{language}.txt"'
        return response


class LetterTexts(Gate, Page):
    """The texts of all kinds of letters."""

    gate = may_decide
    template_name = "proposals/letter_texts.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        own = {row.kind: row for row in LetterTemplate.objects.select_related("changed_by")}
        rows = [(kind, label, own.get(kind), STANDARD[kind]) for kind, label in LetterKind.choices]
        return super().get_context_data(rows=rows, **kwargs)


class LetterTextEdit(Gate, FormPage):
    """One text, changed by officers; looked at before it is saved."""

    gate = may_decide
    template_name = "proposals/letter_text.html"
    form_class = LetterTextForm
    submit_label = _("Save")
    success_message = _("The text is saved. Letters that were sent stay as they are.")
    overtaken: DomainError | None = None
    preview: dict[str, str] | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if kwargs["kind"] not in STANDARD:
            raise Http404
        self.kind = kwargs["kind"]
        return super().dispatch(request, *args, **kwargs)

    @property
    def text(self) -> LetterTemplate:
        """What is sent now."""
        if not hasattr(self, "_text"):
            self._text = letters.text_of(self.kind)
        return self._text

    def get_form_kwargs(self) -> dict[str, Any]:
        row = self.text
        return super().get_form_kwargs() | {"instance": row}

    def cancel_url(self) -> str:
        return reverse("proposals:letter-texts")

    def form_valid(self, form: Any) -> HttpResponse:
        if self.request.POST.get("action") != "preview":
            return super().form_valid(form)
        try:
            self.preview = letters.preview(form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
            return self.form_invalid(form)
        return self.render_to_response(self.get_context_data(form=form))

    def perform(self, form: Any) -> str:
        version = version_of(self.request)
        try:
            letters.change_text(actor=self.request.user, kind=self.kind, texts=form.cleaned_data, version=version)
        except SavedMeanwhile as error:
            self.overtaken = error
            raise
        return self.cancel_url()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = version_of(self.request) if self.request.method == "POST" else self.text.version
        return super().get_context_data(
            title=LetterKind(self.kind).label,
            overtaken=self.overtaken,
            version=self.overtaken.facts["version"] if self.overtaken else said,
            places=PLACES.items(),
            preview=self.preview,
            **kwargs,
        )
