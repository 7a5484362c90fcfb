"""What the portal says to Prometheus, and what deploy/ makes of it: rules, alerts and dashboard fit together."""

import gzip
import json
import os
import re
import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from cluster.models import DeviceEvent
from telemetry.models import LatestSample, NodeMinute
from tests.architecture.tree import ROOT
from tests.factories.allocations import LeaseFactory
from tests.factories.cluster import DeviceFactory, NodeFactory, PoolFactory

pytestmark = pytest.mark.django_db
DEPLOY = ROOT / "deploy"
OF_OTHERS = {"up"}  # Prometheus' own
BOUNDED = {"state", "part", "step", "table", "queue", "pool", "gpu_class", "what", "doing", "version"}
OF_MACHINES = {"Hostname", "gpu", "UUID", "device", "modelName"}


def said(client: Client, path: str) -> dict[str, list[Any]]:
    """Every sample of a page by its name, as Prometheus' own parser reads it."""
    answer = client.get(path)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    found: dict[str, list[Any]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def measured(device: Any, age: timedelta = timedelta(0), **figures: Any) -> None:
    at = timezone.now() - age
    LatestSample.objects.create(device=device, at=at, newest_at=at, **figures)


def test_a_device_speaks_the_names_of_dcgm(client: Client) -> None:
    device = DeviceFactory(state="in_use", power_limit_watts=700, health="warn", health_reasons=["remap_pending"])
    measured(
        device,
        utilisation_percent=97,
        memory_used_mib=40_000,
        power_watts=512.5,
        temperature_c=61,
        energy_mj=9_000_000_000_123,
        sm_active_permille=815,
        tensor_active_permille=402,
    )
    DeviceEvent.objects.create(
        node=device.node, device=device, kind="xid", detail={"xid": 63}, at=timezone.now() - timedelta(minutes=5)
    )
    found = {name: samples[0] for name, samples in said(client, "/metrics/devices").items()}
    values = {name: sample.value for name, sample in found.items()}
    assert values["DCGM_FI_DEV_GPU_UTIL"] == 97 and values["DCGM_FI_DEV_FB_USED"] == 40_000
    assert values["DCGM_FI_DEV_POWER_USAGE"] == 512.5 and values["DCGM_FI_DEV_POWER_MGMT_LIMIT"] == 700
    assert values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 9_000_000_000_123
    assert values["DCGM_FI_PROF_SM_ACTIVE"] == 0.815 and values["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] == 0.402
    assert values["DCGM_FI_DEV_XID_ERRORS"] == 63 and values["bitgoeul_device_xids_last_hour"] == 1
    assert (values["bitgoeul_device_health"], values["bitgoeul_device_held"]) == (1, 1)
    assert values["bitgoeul_device_remap_pending"] == 1
    labels = found["DCGM_FI_DEV_GPU_UTIL"].labels
    assert labels["UUID"] == device.uuid and labels["Hostname"] == device.node.name
    assert labels["modelName"] == device.gpu_class.nvml_name and labels["pool"] == device.node.pool.name


def test_what_is_old_or_was_not_measured_is_a_gap_and_no_zero(client: Client) -> None:
    silent, poor = DeviceFactory(), DeviceFactory(power_limit_watts=None)
    measured(silent, timedelta(minutes=3), utilisation_percent=50)
    measured(poor, utilisation_percent=0)
    found = said(client, "/metrics/devices")
    assert [sample.labels["UUID"] for sample in found["DCGM_FI_DEV_GPU_UTIL"]] == [poor.uuid]
    assert found["DCGM_FI_DEV_GPU_UTIL"][0].value == 0
    assert "DCGM_FI_PROF_SM_ACTIVE" not in found
    assert {sample.labels["UUID"] for sample in found["bitgoeul_device_health"]} == {silent.uuid, poor.uuid}


def test_whatever_a_pool_is_called_it_can_be_read_also_packed(client: Client) -> None:
    name = 'the "big"\n\\pool 가'
    DeviceFactory(node=NodeFactory(pool=PoolFactory(name=name)))
    assert said(client, "/metrics/devices")["bitgoeul_device_health"][0].labels["pool"] == name
    plain, packed = client.get("/metrics/devices"), client.get("/metrics/devices", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.content) == plain.content and packed["Content-Encoding"] == "gzip"


def test_a_pool_says_what_is_busy_idle_and_unknown(client: Client) -> None:
    node = NodeFactory(last_seen_at=timezone.now(), clock_skew_seconds=0.5)
    busy, idle, _silent, _free = (DeviceFactory(node=node, state=state) for state in ("in_use",) * 3 + ("available",))
    measured(busy, utilisation_percent=80)
    measured(idle, utilisation_percent=1)
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    NodeMinute.objects.create(node=node, minute=minute, cpu_percent=37.5)
    found = said(client, "/metrics")
    doing = {s.labels["doing"]: s.value for s in found["bitgoeul_pool_gpus_in_use"]}
    assert doing == {"busy": 1, "idle": 1, "no_data": 1}
    gpus = {s.labels["what"]: s.value for s in found["bitgoeul_pool_gpus"]}
    assert (gpus["total"], gpus["held"]) == (4, 3)
    assert found["bitgoeul_node_up"][0].value == 1 and found["bitgoeul_node_cpu_percent"][0].value == 37.5


def test_a_node_that_nobody_hears_is_down(client: Client) -> None:
    NodeFactory(last_seen_at=timezone.now() - timedelta(minutes=3))
    assert said(client, "/metrics")["bitgoeul_node_up"][0].value == 0


def test_labels_are_bounded_and_name_no_partner(client: Client) -> None:
    lease = LeaseFactory(state="active")
    measured(DeviceFactory(), utilisation_percent=3)
    for path in ("/metrics", "/metrics/devices"):
        text = client.get(path).content.decode()
        organisation = lease.allocation.project.organisation
        for secret in (lease.public_id, organisation.name_ko, lease.booked_by.email, lease.allocation.project.title):
            assert secret not in text
        labels = {label for samples in said(client, path).values() for sample in samples for label in sample.labels}
        assert labels <= BOUNDED | OF_MACHINES


@pytest.mark.parametrize("path", ["/metrics", "/metrics/devices"])
def test_statements_do_not_grow_with_the_fleet(client: Client, path: str) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(path)
        return len(asked)

    measured(DeviceFactory(), utilisation_percent=3)
    few = statements()
    for _turn in range(5):
        measured(DeviceFactory(node=NodeFactory(last_seen_at=timezone.now())), utilisation_percent=3)
    LeaseFactory.create_batch(3, state="active")
    assert statements() == few


def named_in_deploy() -> set[str]:
    """Every metric that rules, alerts and dashboard read."""
    rules = [yaml.safe_load(path.read_text()) for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))]
    flat = [rule for each in rules for group in each["groups"] for rule in group["rules"]]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "bitgoeul.json").read_text())
    asked = [rule["expr"] for rule in flat]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked += [each["query"]["query"] for each in dashboard["templating"]["list"] if isinstance(each["query"], dict)]
    names = {
        name for text in asked for name in re.findall(r"\b(?:bitgoeul|DCGM_FI)_\w+|\b\w+:\w+(?::\w+)?|\bup\b", text)
    }
    return names - {rule["record"] for rule in flat if "record" in rule} - OF_OTHERS


def test_rules_and_dashboard_read_what_the_portal_says_and_nothing_else(client: Client) -> None:
    device = DeviceFactory(node=NodeFactory(last_seen_at=timezone.now(), clock_skew_seconds=0.1), power_limit_watts=700)
    columns = ("utilisation_percent", "memory_used_mib", "power_watts", "temperature_c", "energy_mj")
    measured(device, **dict.fromkeys((*columns, "sm_active_permille", "tensor_active_permille"), 1))
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    host = ("cpu_percent", "load", "memory_used_mib", "memory_total_mib", "disk_used_mib", "disk_total_mib")
    NodeMinute.objects.create(node=device.node, minute=minute, **dict.fromkeys(host, 1))
    text = "".join(client.get(path).content.decode() for path in ("/metrics", "/metrics/devices"))
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    named = named_in_deploy()
    assert len(named) > 15 and not named - told


def promtool(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Prometheus' own checker; CI installs it, and a laptop may lack it."""
    tool = shutil.which("promtool")
    if tool is None and not os.environ.get("REQUIRE_PROMTOOL"):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    assert tool is not None, "REQUIRE_PROMTOOL is set and there is no promtool"
    return subprocess.run([tool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, **options)


def test_promtool_passes_the_rules_and_their_examples() -> None:
    rules = promtool("check", "rules", *(str(path) for path in (DEPLOY / "prometheus" / "rules").glob("*.yml")))
    assert rules.returncode == 0, rules.stderr
    examples = promtool("test", "rules", "tests/rules.yml")
    assert examples.returncode == 0, examples.stdout + examples.stderr


def test_promtool_passes_the_scrape_configuration() -> None:
    done = promtool("check", "config", "--syntax-only", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_passes_what_the_portal_says(client: Client) -> None:
    done = promtool("check", "metrics", input=client.get("/metrics").content.decode())
    assert done.returncode == 0, done.stdout + done.stderr
