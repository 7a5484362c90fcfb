"""The page on which an organisation asks what it may do."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from common.web import ObjectPage
from partners.forms.standing import WishForm
from partners.models import Organisation
from partners.selectors import answer_for


class OrganisationMay(ObjectPage):
    """The answer stands in the address, so that it can be sent to a colleague. Nothing is changed by asking."""

    model = Organisation
    object_name = "organisation"
    template_name = "partners/may.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = WishForm(request.GET if "doing" in request.GET else None)
        answer = answer_for(self.object, form.wish()) if form.is_bound and form.is_valid() else None
        status = 422 if form.is_bound and not form.is_valid() else 200
        return self.render_to_response(self.get_context_data(form=form, answer=answer), status=status)
