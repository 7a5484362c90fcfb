"""Devices, under the names and labels of NVIDIA's dcgm-exporter where it has one, so that what sites have drawn for it
fits.

Names, units and the labels `gpu`, `UUID`, `device`, `modelName`, `Hostname` are those of dcgm-exporter's default
counters (github.com/NVIDIA/dcgm-exporter, etc/default-counters.csv): energy in mJ as a counter without `_total`, the
profiling figures as a ratio. What is older than two minutes is not told: a gap is a gap.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from prometheus_client.metrics_core import Metric

from cluster.models import Device
from reports.selectors.fleet import FRESH

LABELS = ("gpu", "UUID", "device", "modelName", "Hostname", "pool")
HEALTH = {Device.Health.OK: 0, Device.Health.WARN: 1, Device.Health.DRAIN: 2, Device.Health.FAIL: 3}
XIDS_WITHIN = timedelta(hours=1)
_MEASURED = (
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", "utilisation_percent", 1),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", "memory_used_mib", 1),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", "power_watts", 1),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", "temperature_c", 1),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "unknown",
        "Total energy consumption since boot (in mJ).",
        "energy_mj",
        1,
    ),
    ("DCGM_FI_PROF_SM_ACTIVE", "gauge", "The ratio of cycles an SM has at least 1 warp.", "sm_active_permille", 1000),
    (
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "gauge",
        "The ratio of cycles the tensor pipe is active.",
        "tensor_active_permille",
        1000,
    ),
)
_DEVICES = """
SELECT d.id, d.uuid, d.index, d.profile, c.nvml_name, n.name, p.name, d.state, d.health, d.power_limit_watts,
       d.memory_mib, d.health_reasons ? 'remap_pending', {figures}
FROM cluster_device d
JOIN cluster_node n ON n.id = d.node_id
JOIN cluster_pool p ON p.id = n.pool_id
JOIN cluster_gpuclass c ON c.id = d.gpu_class_id
LEFT JOIN telemetry_latestsample l ON l.device_id = d.id AND l.at > %(fresh)s
WHERE d.state <> 'retired'
ORDER BY n.name, d.index, d.id
"""
_XIDS = """
SELECT device_id, count(*), (array_agg((detail->>'xid')::int ORDER BY at DESC))[1]
FROM cluster_deviceevent WHERE kind = 'xid' AND at > %s AND device_id IS NOT NULL GROUP BY 1
"""


def collect() -> Iterator[Metric]:
    """Every family of the devices: two statements, whatever their number."""
    now = timezone.now()
    columns = [column for *_name, column, _per in _MEASURED]
    with connection.cursor() as cursor:
        cursor.execute(_DEVICES.format(figures=", ".join(f"l.{column}" for column in columns)), {"fresh": now - FRESH})
        rows = cursor.fetchall()
        cursor.execute(_XIDS, [now - XIDS_WITHIN])
        xids = {device: (count, last) for device, count, last in cursor.fetchall()}
    labelled = [(_labels(row), row) for row in rows]
    for place, (name, kind, text, _column, per) in enumerate(_MEASURED):
        values = ((labels, row[12 + place]) for labels, row in labelled)
        yield _family(name, kind, text, ((labels, value / per) for labels, value in values if value is not None))
    yield from _known(labelled)
    told = [(labels, xids.get(row[0], (0, 0))) for labels, row in labelled]
    text = "Value of the last XID error of the last hour, or 0."
    yield _family("DCGM_FI_DEV_XID_ERRORS", "gauge", text, ((labels, last or 0) for labels, (_count, last) in told))
    text = "XID errors of the last hour."
    yield _family("bitgoeul_device_xids_last_hour", "gauge", text, ((labels, count) for labels, (count, _last) in told))


def _known(labelled: list[tuple[dict[str, str], Any]]) -> Iterator[Metric]:
    """What the portal knows of a device without measuring it."""
    figures = (
        ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit (in W).", lambda row: row[9]),
        ("bitgoeul_device_memory_mib", "Memory that the device has (in MiB).", lambda row: row[10]),
        ("bitgoeul_device_held", "1 while a reservation holds it.", lambda row: row[7] == "in_use"),
        ("bitgoeul_device_health", "0 ok, 1 warn, 2 drain, 3 fail.", lambda row: HEALTH.get(row[8])),
        ("bitgoeul_device_remap_pending", "1 where remapped rows wait for a reset.", lambda row: bool(row[11])),
    )
    for name, text, figure in figures:
        values = ((labels, figure(row)) for labels, row in labelled)
        yield _family(name, "gauge", text, ((labels, float(value)) for labels, value in values if value is not None))


def _labels(row: Any) -> dict[str, str]:
    _pk, uuid, index, profile, model, node, pool, *_rest = row
    values = (str(index), uuid, f"nvidia{index}", f"{model} MIG {profile}" if profile else model, node, pool)
    return dict(zip(LABELS, values, strict=True))


def _family(name: str, kind: str, text: str, values: Iterator[tuple[dict[str, str], float]]) -> Metric:
    family = Metric(name, text, kind)
    for labels, value in values:
        family.add_sample(name, labels, value)
    return family
