"""The page of the attachments, the download, and the button that takes one away."""

from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from common.web import ObjectMixin, VerbView
from proposals.downloads import download
from proposals.forms import AttachmentForm
from proposals.models import Attachment
from proposals.services.attachments import MOST_FILES, attach, remove
from proposals.views.editor.base import Step


class EditAttachments(Step):
    key = "attachments"
    template_name = "proposals/editor/attachments.html"

    def build(self, data: Any) -> AttachmentForm:
        return AttachmentForm(data, self.request.FILES if data is not None else None)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # "Go on" without a file chosen is no refusal
        if request.POST.get("action") == "next" and not request.FILES:
            return HttpResponseRedirect(self.url_of(self.following()))
        return super().post(request, *args, **kwargs)

    def save(self) -> None:
        attach(actor=self.request.user, proposal=self.object, upload=self.form.cleaned_data["file"])
        self.object.refresh_from_db(fields=["revision"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        files = [row for row in self.draft.attachments if not self._is_answer(row)]
        return super().get_context_data(files=files, most_files=MOST_FILES, **kwargs)

    def _is_answer(self, row: Attachment) -> bool:
        return any(answer.file_id == row.pk for answer in self.draft.answers)


class AttachmentRemove(VerbView):
    model = Attachment

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("proposal__organisation")

    def perform(self) -> str:
        step = "edit-questions" if self.object.answers.exists() else "edit-attachments"
        remove(actor=self.request.user, attachment=self.object)
        self.success_message = _("“%(name)s” is removed.") % {"name": self.object.name}
        return reverse(f"proposals:{step}", args=[self.object.proposal.public_id])


class AttachmentFile(ObjectMixin, View):
    """The file, to those who may see the proposal: always as a download, never opened as a page of ours."""

    model = Attachment

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | FileResponse:
        return download(self.object)
