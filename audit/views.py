"""The record of everything, for auditors and administrators; for others the pages do not exist."""

import json
from urllib.parse import quote

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from audit import services
from audit.changes import change_lines
from audit.filters import AuditFilter
from audit.models import AuditEvent
from audit.rules import may_read_everything
from common.gates import Gate
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage


def seal_position(event: AuditEvent) -> int | None:
    """Where the event stands in the chain; None while it waits for the sealer."""
    seal = getattr(event, "seal", None)
    return seal.position if seal else None


def shown_time(event: AuditEvent) -> SafeString:
    """To the second, on one line."""
    return format_html('<span class="text-nowrap">{}</span>', moment(event.at, "seconds"))


class Events(Gate, ListPage):
    """Every change, newest first."""

    gate = may_read_everything
    model = AuditEvent
    filterset_class = AuditFilter
    template_name = "audit/events.html"
    default_order = "-id"
    title = _("Audit")
    empty_text = _("Nothing has happened yet.")
    export_name = "audit"
    columns = (
        Column("at", _("Time"), lambda e: e.at.isoformat(), cell=shown_time, sort="at"),
        Column("actor", _("Actor"), lambda e: e.actor_label, sort="actor_label"),
        Column("verb", _("What happened"), lambda e: e.verb, sort="verb"),
        Column(
            "target",
            _("Object"),
            lambda e: e.target_id,
            link=lambda e: f"?target={quote(e.target_id)}",
            sort="target_id",
        ),
        Column(
            "changes",
            _("Changes"),
            lambda e: json.dumps(e.changes, ensure_ascii=False, sort_keys=True),
            cell=lambda e: change_lines(e.changes),
        ),
        Column(
            "position",
            _("Seal"),
            seal_position,
            cell=lambda e: seal_position(e) or _("not sealed yet"),
            sort="seal__position",
            numeric=True,
        ),
    )

    def get_queryset(self) -> QuerySet[AuditEvent]:
        return super().get_queryset().select_related("seal")


class VerifyChain(LoginRequiredMixin, Gate, View):
    """Recompute the chain and say what was found."""

    gate = may_read_everything
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        verdict = services.verify()
        if verdict.broken:
            messages.error(
                request,
                gettext("The chain is broken: %(where)s. Nothing after it can be trusted.") % {"where": verdict.broken},
            )
        else:
            messages.success(request, _whole(verdict))
        return HttpResponseRedirect(reverse("audit:events"))


def _whole(verdict: services.Verdict) -> str:
    checked = ngettext(
        "The chain is whole: %(count)d sealed event was checked.",
        "The chain is whole: %(count)d sealed events were checked.",
        verdict.checked,
    ) % {"count": verdict.checked}
    waiting = ngettext(
        "%(count)d event is not sealed yet.", "%(count)d events are not sealed yet.", verdict.unsealed
    ) % {"count": verdict.unsealed}
    return f"{checked} {waiting}"
