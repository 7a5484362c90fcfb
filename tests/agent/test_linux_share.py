"""From a lease's UUIDs to minor numbers and NUMA nodes, over the driver's files as a driver writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.device_records import MigPlace
from agent.host.base import HostError, Share
from agent.host.share import share_of, short_form

INFORMATION = """Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 43
GPU UUID: \t GPU-????????-????-????-????-????????????
Video BIOS: \t ??.??.??.??.??
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t {bus}
Device Minor: \t {minor}
GPU Firmware: \t 535.161.08
GPU Excluded:\t No
"""
BUS_IDS = {"GPU-a": "00000000:18:00.0", "GPU-b": "00000000:3B:00.0", "GPU-c": "00000001:9A:00.0"}


def lay(folder: Path, bus: str, minor: int, numa: str | None) -> None:
    """One device in the driver's list and on the bus."""
    (folder / "gpus" / bus).mkdir(parents=True)
    (folder / "gpus" / bus / "information").write_text(INFORMATION.format(bus=bus, minor=minor))
    (folder / "pci" / bus).mkdir(parents=True)
    if numa is not None:
        (folder / "pci" / bus / "numa_node").write_text(f"{numa}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    lay(tmp_path, "0000:18:00.0", 1, "0")  # minors do not follow the bus
    lay(tmp_path, "0000:3b:00.0", 0, "0")
    lay(tmp_path, "0001:9a:00.0", 2, "-1")
    lay(tmp_path, "0001:ba:00.0", 3, None)  # NVML does not list this one
    return tmp_path


def asked(machine: Path, *leased: str) -> Share:
    return share_of(leased, BUS_IDS, driver=machine / "gpus", bus=machine / "pci")


def test_minors_are_the_drivers_and_the_whole_machine_is_counted(machine: Path) -> None:
    everything = ((0, 0), (1, 0), (2, -1), (3, -1))
    assert asked(machine, "GPU-a") == Share(device_minors=(1,), node_devices=everything)
    assert asked(machine, "GPU-c", "GPU-b") == Share(device_minors=(2, 0), node_devices=everything)


def test_a_mig_device_is_a_part_of_its_gpu(machine: Path) -> None:
    mig = {"MIG-1": MigPlace("GPU-a", 7, 0), "MIG-2": MigPlace("GPU-a", 9, 0), "MIG-3": MigPlace("GPU-lost", 1, 0)}
    places = {"driver": machine / "gpus", "bus": machine / "pci"}
    found = share_of(("MIG-1", "GPU-b", "MIG-2"), BUS_IDS, mig, **places)
    assert found.device_minors == (1, 0) and found.parts == ((1, 7, 0), (1, 9, 0))
    for unknown in ("MIG-3", "MIG-4"):
        with pytest.raises(HostError, match="no_share"):
            share_of((unknown,), BUS_IDS, mig, **places)


def test_what_is_not_known_for_certain_is_no_share(machine: Path) -> None:
    for leased in ("GPU-unknown", "MIG-1"):
        with pytest.raises(HostError, match="no_share"):
            asked(machine, "GPU-a", leased)
    (machine / "gpus/0001:ba:00.0/information").write_text("Model: half a file\n")
    with pytest.raises(HostError, match="no_share"):
        asked(machine, "GPU-a")
    with pytest.raises(HostError, match="no_share"):
        share_of(("GPU-a",), BUS_IDS, driver=machine / "no-driver", bus=machine / "pci")


def test_an_address_is_written_as_the_kernel_does() -> None:
    assert short_form("00000000:3B:00.0") == short_form("0000:3b:00.0") == "0000:3b:00.0"
    assert short_form("00010000:01:00.0") == "10000:01:00.0"
    with pytest.raises(KeyError):
        short_form("../../etc")
