"""What the library says of the node, against nvidia-smi and the kernel."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from agent import nvml
from tests.hardware.conftest import Record
from tests.hardware.target import Target

SMI = shutil.which("nvidia-smi")


def _tree(element: ElementTree.Element) -> Any:
    return {child.tag: _tree(child) for child in element} or (element.text or "").strip()


def _number(text: str) -> float:
    return float(text.split()[0])


@pytest.fixture(scope="module")
def smi(target: Target) -> dict[str, Any]:
    """`nvidia-smi -q -x` of the first device, with the log's own words about the node."""
    if not target.real or not SMI:
        pytest.skip("nvidia-smi speaks of a real driver alone")
    root = ElementTree.fromstring(subprocess.run([SMI, "-q", "-x"], capture_output=True, text=True, check=True).stdout)
    gpu = root.find("gpu")
    assert gpu is not None
    return {**_tree(gpu), "driver": root.findtext("driver_version"), "id": gpu.get("id")}


def test_the_library_starts_and_tells_the_node(uuid: str, record: Record) -> None:
    node = nvml.node_facts()
    record("node", node)
    record("kernel", {"release": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()})
    assert node.device_count >= 1 and node.driver_version[0].isdigit() and (node.cuda_version or 0) >= 12000


def test_starting_again_costs_as_little(uuid: str, record: Record) -> None:
    took = []
    for _ in range(3):
        began = time.perf_counter()
        nvml.restart()
        nvml.node_facts()
        took.append(round(time.perf_counter() - began, 4))
    record("restart_seconds", took)
    assert max(took) < nvml.PATIENCE_SECONDS


def test_every_fact_is_what_nvidia_smi_says(uuid: str, record: Record, smi: dict[str, Any]) -> None:
    facts = nvml.device_facts(uuid)
    limits = smi["gpu_power_readings"]
    record("nvidia_smi", smi)
    assert facts.uuid == smi["uuid"]
    assert facts.name == smi["product_name"]
    assert facts.pci_bus_id.upper().endswith(smi["pci"]["pci_bus_id"].upper()[-12:])
    assert str(facts.minor) == smi["minor_number"]
    assert (facts.serial or "N/A") == smi["serial"]
    assert (facts.vbios_version or "N/A") == smi["vbios_version"]
    assert (facts.part_number or "N/A") == smi["board_part_number"]
    assert (facts.inforom_version or "N/A") == smi["inforom_version"]["img_version"]
    assert facts.memory_mib == _number(smi["fb_memory_usage"]["total"])
    assert facts.persistence_mode == (smi["persistence_mode"] == "Enabled")
    assert facts.compute_mode == smi["compute_mode"].lower().replace(" ", "_")
    assert facts.mig_enabled == (smi["mig_mode"]["current_mig"] == "Enabled")
    assert facts.ecc_enabled == (smi["ecc_mode"]["current_ecc"] == "Enabled")
    assert facts.power_limit_watts == _number(limits["current_power_limit"])
    assert facts.power_default_watts == _number(limits["default_power_limit"])
    assert facts.power_min_watts == _number(limits["min_power_limit"])
    assert facts.power_max_watts == _number(limits["max_power_limit"])
    assert facts.architecture == smi["product_architecture"]


def test_the_inventory_has_no_faults(uuid: str, record: Record) -> None:
    inventory = nvml.inventory()
    record("inventory", inventory)
    record("topology", nvml.topology([uuid]))
    assert not inventory.faults and inventory.devices[0].uuid == uuid


def test_a_reading_names_the_same_figures(uuid: str, record: Record, smi: dict[str, Any]) -> None:
    seen = nvml.reading(uuid)
    record("reading", seen)
    assert seen.driver_version == smi["driver"]
    assert abs(seen.memory_used_mib - _number(smi["fb_memory_usage"]["used"])) <= 1
    remaps = smi.get("remapped_rows", {})
    if isinstance(remaps, dict) and remaps:
        assert str(seen.remap_correctable) == remaps["remapped_row_corr"]
        assert str(seen.remap_uncorrectable) == remaps["remapped_row_unc"]
        assert seen.remap_pending == (remaps["remapped_row_pending"] == "Yes")
    links = smi["pci"]["pci_gpu_link_info"]
    assert f"{seen.pcie_width_max}x" == links["link_widths"]["max_link_width"]
    assert f"{seen.pcie_width}x" == links["link_widths"]["current_link_width"]


def test_the_device_file_is_there(target: Target, uuid: str, record: Record) -> None:
    if not target.real:
        pytest.skip("the simulator makes no device files")
    record("device_files", sorted(str(each) for each in Path("/dev").glob("nvidia*")))
    assert Path(f"/dev/nvidia{nvml.minor_of(uuid)}").is_char_device()
