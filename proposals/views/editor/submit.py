"""The last page: all of it once more, what is missing, what an officer asked and what was changed, and the button."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from cluster.selectors import gpu_class_choices
from common.errors import DomainError
from proposals.asks import Part, Reply
from proposals.forms import ReplyForm
from proposals.models import Decision
from proposals.selectors import committed, compare, judge
from proposals.selectors.eligibility import conditions
from proposals.selectors.versions import named
from proposals.services import drafting
from proposals.services.eligibility import check_size
from proposals.views.editor.base import Step


class EditSubmit(Step):
    """What was typed here is kept first, whatever becomes of the submission."""

    key = "submit"
    template_name = "proposals/editor/submit.html"

    @property
    def is_returned(self) -> bool:
        """Whether there is something to reply to."""
        return bool(self.object.state == "returned")

    @property
    def part(self) -> str:  # type: ignore[override]
        """There is something to keep only where a return is answered."""
        return "reply" if self.is_returned else ""

    def build(self, data: Any) -> ReplyForm:
        return ReplyForm(data, initial={"reply": self.object.reply})

    def content(self) -> Part:
        return Reply(self.form.cleaned_data["reply"])

    def save(self) -> None:
        if self.is_returned:
            super().save()

    def _save(self, action: str) -> HttpResponse:
        if action != "submit":
            return super()._save(action)
        try:
            self.save()
            proposal = drafting.submit(actor=self.request.user, proposal=self.object)
        except DomainError as error:
            self.object = self.fetch()
            self.form.add_error(None, str(error))
            return self._refused(action, 422)
        messages.success(
            self.request, _("The proposal is submitted. Its number is %(number)s.") % {"number": proposal.number}
        )
        return HttpResponseRedirect(proposal.get_absolute_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        proposal, draft = self.object, self.draft
        last = proposal.versions.first() if self.is_returned else None
        asked = proposal.decisions.filter(kind=Decision.Kind.RETURN).first() if self.is_returned else None
        return super().get_context_data(
            is_returned=self.is_returned,
            returned=asked,
            changes=compare(*named(last.content, draft.content)) if last and not kwargs.get("swap") else [],
            last_version=last,
            draft=draft,
            class_names=dict(gpu_class_choices()),
            refusals=self._refusals(),
            **kwargs,
        )

    def _refusals(self) -> list[str]:
        """What the call and the agreement refuse, line by line."""
        lines, agreement = self.draft.lines, self.object.agreement
        verdicts = judge(agreement, lines, committed(agreement)) if lines else []
        said = [] if self.is_returned else self._conditions()
        if lines:
            try:
                check_size(self.object.call, sum(line.gpu_seconds for line in lines))
            except DomainError as error:
                said.append(str(error))
        return said + [
            f"{_('Line %(place)s') % {'place': place}}: {refusal}"
            for place, (_used, refusal) in enumerate(verdicts, start=1)
            if refusal
        ]

    def _conditions(self) -> list[str]:
        """What the call asks of whoever proposes, and this organisation does not have."""
        asked = conditions(self.object.call, self.object.organisation, but=self.object)
        message = _("The call asks: %(asked)s. The organisation: %(own)s.")
        return [message % {"asked": one.asked, "own": one.own} for one in asked if not one.met]
