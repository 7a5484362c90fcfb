"""What templates/common/form_page.html wants to know about a form."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from common.errors import DomainError, InvalidTransition
from common.web import ObjectServicePage, ServicePage


class FormTexts:
    """Title, introduction and button of a form page; the texts may name parts of the page's context."""

    template_name: Any = "common/form_page.html"
    title: Any = ""
    intro: Any = ""
    submit_label: Any = ""
    danger = False

    def cancel_url(self) -> str:
        """Where "Cancel" leads: the object, unless overridden."""
        return self.object.get_absolute_url()  # type: ignore[attr-defined]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        texts = {
            "title": self.title,
            "intro": self.intro,
            "submit_label": self.submit_label,
            "danger": self.danger,
            "object": getattr(self, "object", None),
            "cancel_url": self.cancel_url(),
        }
        return super().get_context_data(**{**texts, **kwargs})  # type: ignore[misc]


class FormPage(FormTexts, ServicePage):
    """A form on its own page."""


class ObjectFormPage(FormTexts, ObjectServicePage):
    """A form about one object on its own page."""

    def check_open(self) -> None:
        """Ask the services what they would refuse whatever is typed; nothing, unless overridden."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Who comes by address when it is too late is told so where "Cancel" leads. What was typed before is kept: a
        form that is sent is shown again with the verb's own refusal.
        """
        try:
            self.check_open()
        except DomainError as error:
            # The page that is led to is the present state: nothing has to be reloaded.
            messages.warning(request, str(error.message if isinstance(error, InvalidTransition) else error))
            return HttpResponseRedirect(self.cancel_url())
        return super().get(request, *args, **kwargs)
