"""What the pages of the form have in common: the steps, the clock, saving, and what happens when two people save."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from common.errors import DomainError
from common.gates import ObjectGate
from common.web import ObjectMixin, add_domain_error
from proposals.asks import Part
from proposals.models import Proposal
from proposals.rules import may_propose
from proposals.selectors import STEPS, Draft, compare, draft_of, seen
from proposals.selectors.versions import named
from proposals.services import drafting, sections, unfinished

_NOT_TYPED = ("csrfmiddlewaretoken", "form_key", "opened", "action")
"""What a page sends beside what was typed."""


class Step(ObjectGate, ObjectMixin, TemplateView):
    """One page of the form of a draft or a returned proposal."""

    model = Proposal
    object_name = "proposal"
    gate = may_propose
    key: str
    """Which of STEPS."""
    part: str = ""
    """Which part of the content (selectors.contents.PARTS) the page saves; "": none."""
    form: Any = None
    conflict: sections.Overtaken | None = None
    kept = False
    """What could not be saved as what it is was kept as it was typed."""

    def gate_object(self, obj: Proposal) -> Any:
        return obj.organisation

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "agreement", "call", "edited_by")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.object.state not in drafting.EDITABLE:
            messages.info(request, _("This proposal can no longer be changed."))
            return HttpResponseRedirect(self.object.get_absolute_url())
        typed = self.object.unfinished.get(self.part) if self.part else None
        self.form = self.build(_as_sent(typed) if typed is not None else None)
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action = request.POST.get("action", "save")
        if action == "add_row" or action.startswith("remove_row:"):
            self.form = self.reshape(action)
            # The page that comes back is typed and not stored: it saves itself at once, as after a key that is pressed.
            return self.render_to_response(self.get_context_data(reshaped=True))
        self.form = self.build(request.POST)
        if not self.form.is_valid():
            self.keep()
            return self._refused(action, 422)
        return self._save(action)

    def build(self, data: Any) -> Any:
        """The form or formset: bound to `data`, or showing what is stored where `data` is None."""
        raise NotImplementedError

    def reshape(self, action: str) -> Any:
        """The formset with a row more or less, everything typed kept."""
        return self.build(None)

    def content(self) -> Part:
        """What was typed, of the valid form."""
        raise NotImplementedError

    def save(self) -> None:
        """Keep it; DomainError."""
        self.object = sections.save_part(
            actor=self.request.user,
            proposal=self.object,
            part=self.content(),
            opened=self.request.POST.get("opened"),
            form=self.request.POST.get("form_key", ""),
        )

    def keep(self) -> None:
        """Keep what was typed as it was typed: it cannot be saved as what it is yet."""
        if not self.part:
            return
        sent = {name: values for name, values in self.request.POST.lists() if name not in _NOT_TYPED}
        try:
            self.object = unfinished.keep(
                actor=self.request.user,
                proposal=self.object,
                part=self.part,
                typed=sent,
                opened=self.request.POST.get("opened"),
                form=self.request.POST.get("form_key", ""),
            )
            self.kept = True
        except sections.Overtaken as error:
            self.conflict = error
        except DomainError:
            self.kept = False  # under review meanwhile: the page says so

    def place(self, error: DomainError) -> None:
        """Put a refusal where it can be mended."""
        add_domain_error(self.form, error)

    def _save(self, action: str) -> HttpResponse:
        try:
            self.save()
        except sections.Overtaken as error:
            self.conflict = error
            return self._refused(action, 409)
        except DomainError as error:
            self.place(error)
            self.keep()
            return self._refused(action, 422)
        if action == "autosave":
            return self._fragment()
        messages.success(self.request, _("Saved. Nobody but your organisation sees it."))
        return HttpResponseRedirect(self.url_of(self.following() if action == "next" else self.key))

    def _refused(self, action: str, status: int) -> HttpResponse:
        if action == "autosave":
            return self._fragment(refused=True)
        return self.render_to_response(self.get_context_data(), status=status)

    def _fragment(self, refused: bool = False) -> HttpResponse:
        """What the page hears of saving by itself: that it is kept, or why not; and how far the proposal is."""
        # A page that is refused keeps its old mark: the Save button then shows what differs.
        return render(self.request, "proposals/editor/_saved.html", self.get_context_data(refused=refused, swap=True))

    def following(self) -> str:
        """The step after this one that the call has."""
        keys = [step.key for step in self.draft.steps]
        return keys[min(keys.index(self.key) + 1, len(keys) - 1)] if self.key in keys else "submit"

    def url_of(self, step: str) -> str:
        """The address of a step of this proposal."""
        return reverse(f"proposals:edit-{step}", args=[self.object.public_id])

    @property
    def draft(self) -> Draft:
        """The rows of the proposal, read once a request and anew after saving."""
        held = getattr(self, "_draft", None)
        if held is None or held[0] != self.object.revision:
            held = self._draft = (self.object.revision, draft_of(self.object))
        return held[1]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        draft = self.draft
        steps = [(step, self.url_of(step.key)) for step in draft.steps]
        keys = [step.key for step, _url in steps]
        here = keys.index(self.key) if self.key in keys else 0
        opened = self.request.POST.get("opened", "")
        if self.part and (
            not opened or self.conflict or self.kept or not kwargs.get("refused", self.request.method == "POST")
        ):
            opened = seen(self.object, self.part)
        context = {
            "form": self.form,
            "call": self.object.call,
            "step": self.key,
            "step_title": STEPS[self.key],
            "step_number": here + 1,
            "steps": steps,
            "percent": draft.percent,
            "gaps": [(gap, self.url_of(gap.step)) for gap in draft.gaps],
            "previous_url": steps[here - 1][1] if here else "",
            "opened": opened,
            "form_key": self.request.POST.get("form_key") or str(uuid.uuid4()),
            "differences": compare(*named(*self._sides())) if self.conflict else [],
            "conflict": self.conflict,
            "now": timezone.now(),
            "saves_itself": bool(self.part),
            "kept": self.kept or (self.part in self.object.unfinished and self.request.method == "GET"),
        }
        return super().get_context_data(**{**context, **kwargs})

    def _sides(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was stored and what was typed, in the shape that `compare` reads."""
        assert self.conflict is not None
        sides = (self.conflict.stored, self.conflict.typed)
        if self.part in ("about", "plan", "reply"):
            return sides
        if self.part == "answers":
            stored, typed = (self._answers(side) for side in sides)
            return {"answers": stored}, {"answers": typed}
        return {self.part: sides[0]}, {self.part: sides[1]}

    def _answers(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        labels = {question.public_id: question for question in self.draft.questions}
        return [
            {"question": key, "label_ko": labels[key].label_ko, "label_en": labels[key].label_en, "value": value}
            for key, value in given.items()
            if key in labels
        ]


def _as_sent(typed: dict[str, list[str]]) -> QueryDict:
    """What was kept as it was typed, in the shape in which it came."""
    data = QueryDict(mutable=True)
    for name, values in typed.items():
        data.setlist(name, values)
    return data
