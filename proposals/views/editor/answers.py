"""The page of the call's own questions."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from common.errors import DomainError
from common.web import add_domain_error
from proposals.asks import Answers, Part
from proposals.forms import AnswersForm, initial_answers
from proposals.services.attachments import attach
from proposals.views.editor.base import Step


class EditQuestions(Step):
    """Files are uploaded with the Save buttons; the rest saves by itself, too."""

    key = "questions"
    part = "answers"
    template_name = "proposals/editor/questions.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.draft.questions:
            return HttpResponseRedirect(self.url_of("attachments"))
        return super().get(request, *args, **kwargs)

    def build(self, data: Any) -> AnswersForm:
        files = self.request.FILES if data is not None else None
        initial = initial_answers(self.draft.answers)
        return AnswersForm(data, files, initial=initial, questions=self.draft.questions)

    def content(self) -> Part:
        return Answers(self.form.given())

    def save(self) -> None:
        super().save()
        for question, upload in self.form.uploads():
            try:
                attach(actor=self.request.user, proposal=self.object, upload=upload, question=question)
            except DomainError as error:
                error.field = f"answers.{question.public_id}"
                raise
            self.form.files.pop(question.public_id)  # kept, even where the next one is refused
            self.object.refresh_from_db(fields=["revision"])

    def place(self, error: DomainError) -> None:
        error.field = (error.field or "").removeprefix("answers.") or None
        add_domain_error(self.form, error)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        files = {answer.question.public_id: answer.file for answer in self.draft.answers if answer.file_id}
        rows = [(field, files.get(field.name)) for field in self.form]
        return super().get_context_data(rows=rows, **kwargs)
