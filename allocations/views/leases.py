"""Reservations: the list, the page, what refreshes itself, the evidence."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from accounts.models import SshKey
from accounts.rules import may_read_audit, may_run_nodes
from allocations import sheet
from allocations.filters import LeaseFilter
from allocations.lifecycle import LEASE, LEASE_OVER
from allocations.models import Lease
from allocations.rules import may_end, may_enter
from allocations.selectors.leases import lease_devices, placements_of
from allocations.selectors.reshapes import under_way, with_devices
from allocations.selectors.usage import use_of
from allocations.services.extending import EXTENDABLE
from common.downloads import json_file
from common.permissions import allowed
from common.sharing import NOT_KEPT, shared
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectMixin, ObjectPage


class LeaseList(ListPage):
    """One's reservations."""

    model = Lease
    filterset_class = LeaseFilter
    title = _("Reservations")
    empty_text = _("No reservation yet. Open an allocation and book a window.")
    export_name = "reservations"
    default_order = "-starts_at"
    columns = (
        Column("id", _("Number"), lambda row: row.public_id, link=lambda row: row.get_absolute_url(), sort="public_id"),
        Column(
            "project",
            _("Project"),
            lambda row: row.allocation.project.title,
            link=lambda row: row.allocation.get_absolute_url(),
            sort="allocation__project__title",
        ),
        Column("pool", _("Pool"), lambda row: row.allocation.pool.name, sort="allocation__pool__name"),
        Column("state", _("State"), lambda row: row.state, sort="state", badge="reservation"),
        Column("gpus", _("GPUs"), lambda row: row.device_count, sort="device_count", numeric=True),
        Column(
            "from",
            _("From"),
            lambda row: row.starts_at.isoformat(),
            cell=lambda row: moment(row.starts_at),
            sort="starts_at",
        ),
        Column(
            "until",
            _("Until"),
            lambda row: row.ends_at.isoformat(),
            cell=lambda row: moment(row.ends_at),
            sort="ends_at",
        ),
        Column("by", _("Booked by"), lambda row: str(row.booked_by), sort="booked_by__name"),
    )

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("allocation__project", "allocation__pool", "booked_by")


class _LeaseMixin(ObjectMixin):
    """One reservation with everything that its page names."""

    model = Lease
    object_name = "lease"

    def get_queryset(self) -> Any:
        return (
            super()
            .get_queryset()
            .select_related(
                "allocation__project__organisation", "allocation__project__agreement", "allocation__pool", "booked_by"
            )
        )


def live_context(lease: Lease, user: Any, *, may_finish: bool) -> dict[str, Any]:
    """What the refreshing part of the page shows."""
    now, placed = timezone.now(), placements_of(lease)
    reshape = under_way(lease) if lease.state == "active" else None
    return {
        "reshape": reshape,
        "reshape_words": sheet.reshape_words(reshape) if reshape else "",
        "reshape_stuck": reshape is not None and reshape.state in ("fitting_stuck", "cleaning_stuck"),
        "may_swap": lease.state == "active" and reshape is None and (may_finish or allowed(user, may_run_nodes)),
        "steps": sheet.steps(lease),
        "words": sheet.words(lease),
        "rows": lease_devices(lease, now, placed),
        "use": use_of(lease, now),
        "over": lease.state in LEASE_OVER,
        "now": now,
    }


class LeasePage(_LeaseMixin, ObjectPage):
    """Where it stands, how to get in, what each GPU does."""

    template_name = "allocations/lease.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lease, user = self.object, self.request.user
        running = lease.state == "active"
        may_finish = allowed(user, may_end, lease)  # the same rule as for extending; asked once
        entering = running and allowed(user, may_enter, lease)
        return super().get_context_data(
            **live_context(lease, user, may_finish=may_finish),
            changes=list(with_devices(lease)) if lease.reshaped else [],
            doors=sheet.doors(lease) if entering else [],
            keys=list(SshKey.objects.visible_to(user)) if entering else [],
            may_enter=entering,
            keeps_files=lease.state in sheet.KEEPS_FILES,
            team=sheet.team_of(lease),
            ledger=lease.ledger.for_reading().order_by("id"),
            may_change=may_finish and lease.state == "scheduled",
            may_release=may_finish and LEASE.allows(lease.state, "release"),
            may_cancel=may_finish and LEASE.allows(lease.state, "cancel"),
            may_shrink=may_finish and running and lease.device_count > 1,
            may_extend=may_finish and lease.state in EXTENDABLE,
            may_answer=lease.state == "offered" and may_finish,
            may_audit=allowed(user, may_read_audit),
            **kwargs,
        )


class LeaseLive(_LeaseMixin, View):
    """The part that refreshes itself every five seconds, until the reservation is over. Those who look at the same
    reservation and may do the same share it.
    """

    def get_queryset(self) -> Any:
        """What it takes to know who may do what; it is asked every five seconds."""
        return Lease.objects.visible_to(self.request.user).select_related("allocation__project__organisation")

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """A changed state changes the whole page (access, buttons), so the browser is told to load it again."""
        lease, asked = self.object, request.GET
        change = lease.reshapes.under_way().values_list("public_id", flat=True).first() or ""
        if asked.get("state", lease.state) != lease.state or asked.get("change", change) != change:
            return HttpResponse(headers={"HX-Refresh": "true"})
        active, user = lease.state == "active", request.user
        may_finish = active and allowed(user, may_end, lease)
        sight = (may_finish or (active and allowed(user, may_run_nodes)), change)
        said = (lease.state, lease.state_reason, lease.starts_at, lease.ends_at, lease.no_show_due_at)

        def make() -> str:
            context = {"lease": lease, **live_context(lease, user, may_finish=may_finish)}
            return render_to_string("allocations/_lease_live.html", context, request)

        return HttpResponse(shared("lease", make, of=lease.public_id, asked=(*sight, *said)), headers=NOT_KEPT)


class HandoverPage(_LeaseMixin, ObjectPage):
    """The handover sheet: each check of each GPU at the start and at the end, to be printed."""

    template_name = "allocations/handover.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(rows=sheet.handover_rows(self.object), printed_at=timezone.now(), **kwargs)


class HandoverFile(_LeaseMixin, View):
    """The same as a file that the portal has signed."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return json_file(sheet.signed_handover(self.object), f"handover-{self.object.public_id}")
