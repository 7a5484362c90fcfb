"""What happened to a machine, in words; how its agent is; what lies beside what."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cluster.event_words import at_of, event_words
from common.templatetags.bitgoeul import moment

register = template.Library()
register.filter(event_words)

REFUSALS: dict[str, Any] = {
    "authentication_failed": gettext_lazy("its token: nobody has it"),
    "not_authenticated": gettext_lazy("a call without a token"),
    "join_token": gettext_lazy("its join token: unknown, used or too old"),
    "throttled": gettext_lazy("more calls than a node has to make"),
    "too_large": gettext_lazy("a body that is too large"),
    "parse_error": gettext_lazy("a body that cannot be read"),
    "invalid": gettext_lazy("a body of another shape"),
    "not_found": gettext_lazy("a command that is not this node's"),
    "wrong_generation": gettext_lazy("an answer for another generation of a command"),
    "samples_unknown_devices": gettext_lazy("samples of GPUs that are not this node's"),
    "samples_bad_times": gettext_lazy("samples from the future or the distant past"),
    "samples_malformed": gettext_lazy("samples of another shape"),
    "events_unknown_devices": gettext_lazy("events of GPUs that are not this node's"),
}


@register.filter
def refusal_words(code: str) -> str:
    """What was refused of a node's calls; a code without words stands for itself."""
    return str(REFUSALS.get(code, code))


TROUBLES: dict[str, Any] = {
    "layout_failed": gettext_lazy("The node did not cut the GPU as ordered: %(error)s."),
    "clock_skew": gettext_lazy("its clock is off the portal's"),
    "silent_devices": gettext_lazy("GPUs do not answer"),
    "samples_dropped": gettext_lazy("measurements were dropped"),
    "parts_restarted": gettext_lazy("parts were started again"),
    "kernel_log": gettext_lazy("the kernel log may not be read"),
}


@register.filter
def trouble_words(codes: list[str]) -> str:
    """What is wrong with an agent, in words."""
    return ", ".join(str(TROUBLES[code]) for code in codes)


@dataclass(frozen=True)
class HealthRow:
    """One figure of an agent's health, in words."""

    name: Any
    value: str


@register.filter
def agent_rows(node: Any) -> list[HealthRow]:
    """What an agent says of itself, in words with units; what it does not say is an en dash."""
    health: dict[str, Any] = node.agent_health
    sampler: dict[str, Any] = health.get("sampler") or {}
    indexes = {device.uuid: str(device.index) for device in node.devices.all()}
    silent = ", ".join(sorted(indexes.get(uuid, uuid) for uuid in sampler.get("silent") or ())) or _("none")
    success = [at for at in (sampler.get("last_success") or {}).values() if isinstance(at, int | float)]
    restarts = ", ".join(
        f"{name} {part.get('restarts', 0)}" + (f" ({part['why']})" if part.get("why") else "")
        for name, part in sorted((health.get("parts") or {}).items())
    )
    readable = sampler.get("kernel_log")
    return [
        HealthRow(_("Memory, MiB"), _number(health.get("memory_mib"), 1)),
        HealthRow(_("CPU, %"), _number(health.get("cpu_percent"), 2)),
        HealthRow(_("Clock against the portal's, s"), _number(health.get("clock_skew_seconds"), 3)),
        HealthRow(_("NVML calls per sample"), _number(sampler.get("calls_per_sample"), 1)),
        HealthRow(_("A call takes, µs (half / 99 %)"), _pair(sampler.get("cost_p50_us"), sampler.get("cost_p99_us"))),
        HealthRow(_("GPUs that do not answer"), silent),
        HealthRow(_("Oldest last success"), str(moment(at_of(min(success)) if success else None, "s"))),
        HealthRow(_("Batches that wait"), _number(sampler.get("spool_batches"))),
        HealthRow(_("Batches dropped"), _number(health.get("samples_dropped"))),
        HealthRow(
            _("Kernel log"), "–" if readable is None else str(_("is read") if readable else _("may not be read"))
        ),
        HealthRow(_("Parts started again"), restarts or "–"),
    ]


def _number(value: Any, places: int = 0) -> str:
    if not isinstance(value, int | float):
        return "–"
    return number_format(round(value, places), places, force_grouping=True)


def _pair(first: Any, second: Any) -> str:
    return f"{_number(first)} / {_number(second)}"


@dataclass(frozen=True)
class TopologyRow:
    """One GPU's distances to the others, by index, and what its inventory says of its place."""

    device: Any
    cells: list[str]
    numa_node: str
    nvlinks: str
    mig: str


@register.filter
def topology_rows(node: Any) -> list[TopologyRow]:
    """The node's GPUs against each other, as `nvidia-smi topo -m` lays them out."""
    devices = list(node.devices.all())
    return [_topology_row(node, device, devices) for device in devices if device.uuid in node.topology]


def _topology_row(node: Any, device: Any, devices: list[Any]) -> TopologyRow:
    levels = node.topology.get(device.uuid) or {}
    facts = device.facts
    cells = [
        "X" if other.pk == device.pk else str(levels.get(other.uuid, "–"))
        for other in devices
        if other.uuid in node.topology
    ]
    return TopologyRow(
        device, cells, _number(facts.get("numa_node")), _number(facts.get("nvlink_count")), mig_layout(device)
    )


@register.filter
def mig_layout(device: Any) -> str:
    """How a GPU is partitioned: off, or its instances, 3g.40gb, 1g.10gb × 2; a dash where there is no MIG."""
    facts = device.facts
    if not facts.get("mig_capable"):
        return "–"
    if not facts.get("mig_enabled"):
        return str(_("off"))
    counts = Counter(str(each["profile"]) for each in facts.get("mig_instances") or ())
    names = [name if times == 1 else f"{name} × {times}" for name, times in counts.items()]
    return ", ".join(names) or str(_("on, no instances"))
