"""The signed PDFs, to those who may see what they are of."""

from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.views import View

from common.downloads import download
from common.web import ObjectMixin
from partners.models import Agreement, Amendment


class _Document(ObjectMixin, View):
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | FileResponse:
        if not self.object.document:
            raise Http404
        response = download(self.object.document, self.object.document_name, "application/pdf")
        response["Cache-Control"] = "private, no-store"
        return response


class AgreementDocument(_Document):
    model = Agreement


class AmendmentDocument(_Document):
    model = Amendment
