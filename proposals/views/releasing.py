"""The list of what is prepared, what a release would do, and the release."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from accounts.rules import is_agency
from common.errors import DomainError
from common.gates import Gate
from common.permissions import allowed
from common.quantities import seconds_to_hours
from common.tables import Column
from common.templatetags.bitgoeul import hours, moment
from common.web import ListPage
from proposals.filters import PreparedFilter
from proposals.models import Call, PreparedDecision
from proposals.rules import may_decide
from proposals.selectors import OPEN_PREPARED, listed_prepared, pool_sums
from proposals.services import releasing


def _tick(row: Any) -> Any:
    if row.state not in OPEN_PREPARED:
        return ""
    label = gettext("Choose %(number)s") % {"number": row.proposal.number}
    box = '<input class="form-check-input" type="checkbox" form="release" name="prepared" value="{}" aria-label="{}">'
    return format_html(box, row.public_id, label)


class PreparedList(Gate, ListPage):
    """What is prepared and what it adds up to; the ticked ones, or all that the filter shows, are released together."""

    gate = is_agency
    model = PreparedDecision
    filterset_class = PreparedFilter
    template_name = "proposals/prepared_list.html"
    default_order = "proposal__number"
    title = _("Prepared decisions")
    empty_text = _("Nothing is prepared. Open a proposal and prepare its decision.")
    export_name = "prepared-decisions"
    paginate_by = 50
    columns = (
        Column("tick", _("Choose"), lambda row: "", cell=_tick),
        Column(
            "number",
            _("Number"),
            lambda row: row.proposal.number,
            link=lambda row: row.get_absolute_url(),
            sort="proposal__number",
        ),
        Column("title", _("Title"), lambda row: row.proposal.title, sort="proposal__title"),
        Column(
            "organisation",
            _("Organisation"),
            lambda row: row.proposal.organisation.name,
            sort="proposal__organisation__name_ko",
        ),
        Column("kind", _("Decision"), lambda row: str(row.get_kind_display()), sort="kind"),
        Column(
            "gpu_hours",
            _("GPU-hours"),
            lambda row: seconds_to_hours(row.gpu_seconds) if row.kind == "award" else "",
            cell=lambda row: hours(row.gpu_seconds) if row.kind == "award" else "",
            sort="gpu_seconds",
            numeric=True,
        ),
        Column("second", _("Second person"), lambda row: str(row.second_person)),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="prepared decision"),
        Column("prepared_by", _("Prepared by"), lambda row: str(row.prepared_by), sort="prepared_by__name"),
        Column(
            "prepared_at",
            _("Prepared"),
            lambda row: row.prepared_at.isoformat(),
            cell=lambda row: moment(row.prepared_at),
            sort="prepared_at",
        ),
    )

    def get_queryset(self) -> Any:
        return listed_prepared(super().get_queryset())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.filterset.form.cleaned_data if self.filterset.form.is_valid() else {}
        call: Call | None = asked.get("call")
        context = super().get_context_data(**kwargs)
        waiting = asked.get("state") == "open"  # then the page has counted them already
        count = context["paginator"].count if waiting else self.object_list.filter(state__in=OPEN_PREPARED).count()
        return context | {
            "open_count": count,
            "sums": pool_sums(call),
            "call": call,
            "may_decide": allowed(self.request.user, may_decide),
            "asked": {name: self.request.GET.get(name, "") for name in self.filterset.form.fields},
        }


class Release(Gate, LoginRequiredMixin, View):
    """POST what is chosen: first what would come of it, then, sent again from there, the release itself."""

    gate = may_decide
    http_method_names = ["post"]
    template_name = "proposals/release.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rows = self.chosen()
        try:
            if request.POST.get("action") == "release":
                return self.released(rows)
            outcomes = releasing.trial(actor=request.user, prepared=rows)
        except DomainError as error:
            gone = not rows and self.seen()
            messages.error(
                request, gettext("What you chose does not wait for release any more.") if gone else str(error)
            )
            if request.POST.get("action") != "release" or not rows:
                return HttpResponseRedirect(reverse("proposals:prepared-list"))
            outcomes = releasing.trial(actor=request.user, prepared=rows)
        return self.shown(outcomes)

    def chosen(self) -> list[PreparedDecision]:
        """The ticked ones; or all open ones that the filter shows, its fields being sent along."""
        said = self.request.POST
        mine = listed_prepared(PreparedDecision.objects.all().visible_to(self.request.user))
        if said.get("scope") == "all":
            found = PreparedFilter({name: said.get(name, "") for name in PreparedFilter.base_filters}, queryset=mine)
            rows = found.qs if found.is_valid() else mine.none()
        else:
            rows = mine.filter(public_id__in=list(self.seen()))
        return list(rows.filter(state__in=OPEN_PREPARED).order_by("proposal__number"))

    def seen(self) -> dict[str, int | None]:
        """By public id the version that the page before showed, which sends `id:version`; a tick is an id alone."""
        parts = [key.partition(":") for key in self.request.POST.getlist("prepared") if "\x00" not in key]
        return {
            key: int(version) if version.isdecimal() and len(version) < 10 else None for key, _colon, version in parts
        }

    def released(self, rows: list[PreparedDecision]) -> HttpResponse:
        seen = {key: version for key, version in self.seen().items() if version is not None}
        with transaction.atomic():
            made = releasing.release(actor=self.request.user, prepared=rows, seen=seen)
        text = ngettext(
            "%(count)s decision is released. The letter is sent.",
            "%(count)s decisions are released. The letters are sent.",
            len(made),
        )
        messages.success(self.request, text % {"count": len(made)})
        return HttpResponseRedirect(reverse("proposals:prepared-list"))

    def shown(self, outcomes: list[releasing.Outcome]) -> HttpResponse:
        outcomes = sorted(outcomes, key=lambda each: (each.error is None, each.prepared.proposal.number or ""))
        context = {
            "outcomes": outcomes,
            "passing": [each for each in outcomes if each.error is None],
            "failing": [each for each in outcomes if each.error is not None],
            "title": _("What would be released"),
        }
        return render(self.request, self.template_name, context)
