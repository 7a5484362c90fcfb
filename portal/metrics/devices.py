"""Devices, under the names and labels of NVIDIA's dcgm-exporter where it has one, so that what sites have drawn for it
fits.

Names, units and the labels `gpu`, `UUID`, `device`, `modelName`, `Hostname` are those of dcgm-exporter's default
counters (github.com/NVIDIA/dcgm-exporter, etc/default-counters.csv): energy in mJ as a counter without `_total`, the
profiling figures as a ratio. What is older than two minutes is not told: a gap is a gap.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from cluster.models import Device
from reports.selectors.fleet import FRESH

LABELS = ("Hostname", "UUID", "device", "gpu", "modelName", "pool")
HEALTH = {Device.Health.OK: 0, Device.Health.WARN: 1, Device.Health.DRAIN: 2, Device.Health.FAIL: 3}
XIDS_WITHIN = timedelta(hours=1)
_MEASURED = (
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", "utilisation_percent", 1),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", "memory_used_mib", 1),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", "power_watts", 1),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", "temperature_c", 1),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "untyped",
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


def text() -> bytes:
    """Every family of the devices: two statements, whatever their number.

    Written line by line: 25,000 devices are 325,000 lines, and a library that makes an object of each, with its labels
    once more, takes ten times as long.
    """
    now = timezone.now()
    columns = [column for *_name, column, _per in _MEASURED]
    with connection.cursor() as cursor:
        cursor.execute(_DEVICES.format(figures=", ".join(f"l.{column}" for column in columns)), {"fresh": now - FRESH})
        rows = cursor.fetchall()
        cursor.execute(_XIDS, [now - XIDS_WITHIN])
        xids = {device: (count, last) for device, count, last in cursor.fetchall()}
    labelled = [(_labels(row), row) for row in rows]
    written: list[str] = []
    for place, (name, kind, words, _column, per) in enumerate(_MEASURED, start=12):
        values = ((labels, row[place]) for labels, row in labelled)
        scaled = values if per == 1 else ((labels, None if raw is None else raw / per) for labels, raw in values)
        written += _family(name, kind, words, scaled)
    for name, words, figure in _KNOWN:
        written += _family(name, "gauge", words, ((labels, figure(row)) for labels, row in labelled))
    told = [(labels, xids.get(row[0], (0, 0))) for labels, row in labelled]
    words = "Value of the last XID error of the last hour, or 0."
    written += _family("DCGM_FI_DEV_XID_ERRORS", "gauge", words, ((labels, last or 0) for labels, (_n, last) in told))
    words = "XID errors of the last hour."
    written += _family("bitgoeul_device_xids_last_hour", "gauge", words, ((labels, n) for labels, (n, _last) in told))
    return "".join(written).encode()


_KNOWN: tuple[tuple[str, str, Callable[[Any], float | None]], ...] = (
    ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit (in W).", lambda row: row[9]),
    ("bitgoeul_device_memory_mib", "Memory that the device has (in MiB).", lambda row: row[10]),
    ("bitgoeul_device_held", "1 while a reservation holds it.", lambda row: int(row[7] == "in_use")),
    ("bitgoeul_device_health", "0 ok, 1 warn, 2 drain, 3 fail.", lambda row: HEALTH.get(row[8])),
    ("bitgoeul_device_remap_pending", "1 where remapped rows wait for a reset.", lambda row: int(bool(row[11]))),
)
"""What the portal knows of a device without measuring it."""


def _labels(row: Any) -> str:
    """As they stand in each line of the device; in order of their names."""
    _pk, uuid, index, profile, model, node, pool, *_rest = row
    values = (node, uuid, f"nvidia{index}", str(index), f"{model} MIG {profile}" if profile else model, pool)
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(LABELS, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _family(name: str, kind: str, words: str, values: Iterable[tuple[str, float | None]]) -> Iterator[str]:
    yield f"# HELP {name} {words}\n# TYPE {name} {kind}\n"
    for labels, value in values:
        if value is not None:
            yield f"{name}{{{labels}}} {value}\n"
