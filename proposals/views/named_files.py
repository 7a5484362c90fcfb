"""Where a file of a blind call names whoever proposes."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.rules import is_agency
from common.gates import Gate
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage
from proposals.models import Attachment
from proposals.review_filters import NamedFileFilter


class NamedFiles(Gate, ListPage):
    """Files of blind calls, and the names that were found in their text and metadata."""

    gate = is_agency
    model = Attachment
    template_name = "proposals/named_files.html"
    filterset_class = NamedFileFilter
    default_order = "proposal__number"
    title = _("Names in files")
    empty_text = _("No such file. Files that are handed in to a blind call are looked into within minutes.")
    export_name = "names-in-files"
    columns = (
        Column(
            "number",
            _("Number"),
            lambda f: f.proposal.number,
            link=lambda f: f.proposal.get_absolute_url(),
            sort="proposal__number",
        ),
        Column("organisation", _("Organisation"), lambda f: f.proposal.organisation.name),
        Column("name", _("File"), lambda f: f.name, link=lambda f: reverse("proposals:attachment", args=[f.public_id])),
        Column("result", _("Result"), lambda f: f.search_label),
        Column("names", _("Names found"), lambda f: ", ".join(f.names_found)),
        Column(
            "searched_at",
            _("Looked at"),
            lambda f: f.searched_at,
            cell=lambda f: moment(f.searched_at),
            sort="searched_at",
        ),
    )

    def get_queryset(self) -> Any:
        rows: Any = super().get_queryset()
        return rows.in_blind_review().select_related("proposal__organisation", "proposal__call")
