"""The page of the request lines, with what agreement and capacity say of them."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views import View

from common.errors import DomainError
from common.web import ObjectMixin
from partners.models import Agreement
from proposals.asks import MAX_LINES, AskLine, Lines, Part
from proposals.forms import LINE_FIELDS, line_forms, reshaped, typed_rows
from proposals.models import Call
from proposals.selectors import check_lines
from proposals.views.editor.base import Step


class EditLines(Step):
    """`action` "check" is the button for people without JavaScript; nothing is kept by it."""

    key = part = "lines"
    template_name = "proposals/editor/lines.html"

    def build(self, data: Any) -> Any:
        if data is not None:
            return line_forms(self.object.call, data=data)
        return line_forms(self.object.call, initial=[_typed(line) for line in self.draft.lines] or [{}])

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.POST.get("action") != "check":
            return super().post(request, *args, **kwargs)
        self.form = self.build(request.POST)
        valid = self.form.is_valid()
        return self.render_to_response(self.get_context_data(refused=True), status=200 if valid else 422)

    def reshape(self, action: str) -> Any:
        rows = typed_rows(self.request.POST, "lines", LINE_FIELDS, MAX_LINES)
        return line_forms(self.object.call, initial=reshaped(rows, action, MAX_LINES))

    def content(self) -> Part:
        return Lines(tuple(line for _form, line in self.form.filled()))

    def place(self, error: DomainError) -> None:
        parts = (error.field or "").split(".")
        if parts[0] == "lines" and len(parts) == 3:
            form = self.form.filled()[int(parts[1])][0]
            form.add_error(parts[2] if parts[2] in form.fields else None, str(error))
        else:
            self.form._non_form_errors.append(str(error))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # The panel asks for itself once the page stands; without JavaScript the button "Check" does.
        whole = [line for _form, line in self.form.filled()]
        live = kwargs.get("swap", False)
        return super().get_context_data(
            checks=check_lines(self.object.agreement, whole, self.object.call) if whole and not live else [],
            most_rows=MAX_LINES,
            may_add=self.form.total_form_count() < MAX_LINES,
            check_url=reverse("proposals:proposal-check", args=[self.object.call.public_id]),
            **kwargs,
        )


def _typed(line: AskLine) -> dict[str, Any]:
    """As a form says it: "no fewer than asked" is an empty field, so that it follows the number of GPUs."""
    whole = line.smallest_gpus == line.gpus
    return {**vars(line), **({"smallest_gpus": None} if whole else {})}


class ProposalCheck(ObjectMixin, View):
    """The live panel: what agreement and capacity say about the lines as they stand. A fragment, nothing is kept."""

    model = Call
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        lines = line_forms(self.object, data=request.POST)
        lines.is_valid()
        whole = [line for _form, line in lines.filled()]
        asked = str(request.POST.get("agreement", ""))
        agreement = get_object_or_404(Agreement.objects.visible_to(request.user), public_id=asked)
        checks = check_lines(agreement, whole, self.object)
        return render(request, "proposals/_check.html", {"checks": checks, "live": True})
