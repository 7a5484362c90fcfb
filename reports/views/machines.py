"""The fleet, a node, a device: what they do now and what happened."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rules import may_read_audit, may_run_nodes
from cluster.models import Device, Node
from common.permissions import allowed
from common.tables import Column
from common.templatetags.bitgoeul import moment
from common.web import ListPage, ObjectPage
from reports.actions import device_actions, node_actions
from reports.filters import NodeFilter
from reports.selectors import machines, measured
from reports.views.staff import StaffMixin
from telemetry import charts, host_reading
from telemetry.web import ranges_context
from telemetry.windows import DEFAULT_RANGE


class NodeList(StaffMixin, ListPage):
    """Every node."""

    model = Node
    filterset_class = NodeFilter
    title = _("Nodes")
    empty_text = _("No node has been registered yet. Enrol one with the button above.")
    export_name = "nodes"
    default_order = "name"
    create_url_name = "reports:node-new"
    create_label = _("Enrol a node")
    columns = (
        Column("name", _("Name"), lambda node: node.name, link=lambda node: node.get_absolute_url(), sort="name"),
        Column("pool", _("Pool"), lambda node: node.pool.name, sort="pool__name"),
        Column("state", _("State"), lambda node: node.state, sort="state", badge="node"),
        Column("devices", _("Devices"), lambda node: node.device_total, sort="device_total", numeric=True),
        Column("in_use", _("In use"), lambda node: node.device_in_use, sort="device_in_use", numeric=True),
        Column("ill", _("Ill"), lambda node: node.device_ill, sort="device_ill", numeric=True),
        Column(
            "last_seen",
            _("Last heard"),
            lambda node: node.last_seen_at.isoformat() if node.last_seen_at else "",
            cell=lambda node: moment(node.last_seen_at),
            sort="last_seen_at",
        ),
        Column("agent", _("Agent"), lambda node: node.agent_version, sort="agent_version"),
    )

    def get_queryset(self) -> Any:
        return machines.nodes_with_counts()

    def may_create(self) -> bool:
        """Operators only."""
        return allowed(self.request.user, may_run_nodes)


class NodePage(StaffMixin, ObjectPage):
    """One node: its devices, what it was told, what happened."""

    model = Node
    object_name = "node"
    template_name = "reports/node.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("pool__gpu_class")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        sheet, sees = machines.node_sheet(self.object, now), allowed(self.request.user, may_run_nodes)
        return super().get_context_data(
            **ranges_context(self.request, DEFAULT_RANGE),
            sheet=sheet,
            compared=[(key, charts.metric_name(key)) for key in charts.COMPARED],
            metric=self.request.GET.get("metric") or charts.DEFAULT_FIGURE,
            host_pictures=list(host_reading.PICTURES.values()),
            sees_processes=sees,
            processes=measured.processes_on((cell.device, cell.sample) for cell in sheet.cells) if sees else [],
            actions=node_actions(self.request.user, self.object),
            now=now,
            **kwargs,
        )


class DevicePage(StaffMixin, ObjectPage):
    """One GPU: facts, what it does, who holds it, its history."""

    model = Device
    object_name = "device"
    template_name = "reports/device.html"

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("node__pool", "gpu_class", "latest_sample")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        sheet, sees = machines.device_sheet(self.object, now), allowed(self.request.user, may_run_nodes)
        cells = [sheet.cell, *sheet.instances]
        return super().get_context_data(
            **ranges_context(self.request, DEFAULT_RANGE),
            sheet=sheet,
            pictures=list(charts.DEVICE_PICTURES.values()),
            sees_processes=sees,
            processes=measured.processes_on((cell.device, cell.sample) for cell in cells) if sees else [],
            actions=device_actions(self.request.user, self.object),
            may_audit=allowed(self.request.user, may_read_audit),
            **kwargs,
        )
