"""Pages on which an agreement or an amendment is signed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import second_factor
from accounts.rules import may_run_programme
from common.form_pages import ObjectFormPage
from common.gates import ObjectGate
from partners.forms import PaperSignatureForm, SignForm
from partners.models import Agreement, Amendment
from partners.rules import is_owner_of
from partners.services import signing


class _Paper(ObjectGate, ObjectFormPage):
    """What is signed: an agreement, or an amendment."""

    object_name = "paper"
    related = "organisation"

    def closed(self) -> str:
        """Why there is nothing to sign here any more; "": there is."""
        return "" if self.object.state == "draft" else signing.closed_to(self.request.user, self.object)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if why := self.closed():
            messages.info(request, why)
            return HttpResponseRedirect(self.object.get_absolute_url())
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(self.related)


class _Sign(_Paper):
    gate = is_owner_of | may_run_programme
    form_class = SignForm
    template_name = "partners/sign.html"
    title = _("Sign")
    submit_label = _("Sign")
    success_message = _("You have signed.")

    def gate_object(self, obj: Any) -> Any:
        return obj.organisation if isinstance(obj, Agreement) else obj.agreement.organisation

    def closed(self) -> str:
        return signing.closed_to(self.request.user, self.object)

    def get_initial(self) -> dict[str, Any]:
        return {"sha256": self.object.document_sha256}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        noun = "agreement" if isinstance(self.object, Agreement) else "amendment"
        return super().get_context_data(
            side=signing.side_of(self.request.user, self.object),
            organisation=self.gate_object(self.object),
            has_second_factor=second_factor.is_set_up(self.request.user),
            document_url=reverse(f"partners:{noun}-document", args=[self.object.public_id]),
            **kwargs,
        )

    def perform(self, form: Any) -> Any:
        data = form.cleaned_data
        return signing.sign(actor=self.request.user, paper=self.object, sha256=data["sha256"], code=data["code"])  # type: ignore[arg-type]


class _SignOnPaper(_Paper):
    gate = may_run_programme
    form_class = PaperSignatureForm
    title = _("Record a signature on paper")
    intro = _("Upload the scan unless it is here already. Another document makes signatures under the old one void.")
    submit_label = _("Record")
    success_message = _("The signature is recorded.")

    def perform(self, form: Any) -> Any:
        data = form.cleaned_data
        return signing.sign_on_paper(
            actor=self.request.user,
            paper=self.object,
            sides=(data["side"],),
            signed_on=data["signed_on"],
            signatories={data["side"]: data["signatory"]},
            document=data["document"],
        )


class AgreementSign(_Sign):
    model = Agreement


class AgreementSignOnPaper(_SignOnPaper):
    model = Agreement


class AmendmentSign(_Sign):
    model = Amendment
    related = "agreement__organisation"


class AmendmentSignOnPaper(_SignOnPaper):
    model = Amendment
    related = "agreement__organisation"
