"""What was submitted: the receipt, the content that its hash is of, and what differs between two submissions."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views import View

from cluster.selectors import gpu_class_choices
from common.web import ObjectMixin, ObjectPage
from partners.rules import role_in
from proposals.canonical import canonical
from proposals.models import Proposal, ProposalVersion
from proposals.selectors import compare
from proposals.selectors.versions import asked_for, named


class _Whole:
    """For those who may read all of a proposal: its organisation and the agency. Reviewers have pages of their own."""

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("organisation", "agreement", "call")  # type: ignore[misc]

    def fetch(self) -> Any:
        proposal: Proposal = super().fetch()  # type: ignore[misc]
        user: Any = self.request.user  # type: ignore[attr-defined]
        if not user.is_agency and not role_in(user, proposal.organisation):
            raise Http404
        return proposal

    def version(self) -> ProposalVersion:
        """The submission that `?version=` names, else the newest."""
        proposal: Proposal = self.object  # type: ignore[attr-defined]
        wanted = self.request.GET.get("version", "")  # type: ignore[attr-defined]
        number = int(wanted) if wanted.isdecimal() and len(wanted) < 9 else proposal.version
        return get_object_or_404(proposal.versions.select_related("submitted_by"), version=number)


class Receipt(_Whole, ObjectPage):
    """Number, moment and hash of a submission, to print."""

    model = Proposal
    object_name = "proposal"
    template_name = "proposals/receipt.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        version = self.version()
        return super().get_context_data(
            version=version,
            content=version.content,
            is_whole=version.is_whole,
            files=list(version.attachments.all()),
            lines=version.content.get("lines", []),
            class_names=dict(gpu_class_choices()),
            **kwargs,
        )


class ReceiptContent(_Whole, ObjectMixin, View):
    """The very bytes that the hash of a submission is of."""

    model = Proposal

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        version = self.version()
        response = HttpResponse(canonical(version.content), content_type="application/json")
        name = f"{self.object.number}-{version.version}.json"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class Changes(_Whole, ObjectPage):
    """What differs between two submissions; of all of them, the last two unless somebody chooses."""

    model = Proposal
    object_name = "proposal"
    template_name = "proposals/changes.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        versions = list(self.object.versions.select_related("submitted_by"))
        older, newer = asked_for(versions, self.request.GET.get("from", ""), self.request.GET.get("to", ""))
        return super().get_context_data(
            versions=versions,
            older=older,
            newer=newer,
            changes=compare(*named(older.content, newer.content)) if older and newer else [],
            **kwargs,
        )
