"""Work for simulated GPUs: the page leaves an order in a folder, the demo's supervisor runs it.

The web process must not own tenants' processes: it is restarted at will, and they must outlive that.
"""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

KINDS = ("pretrain", "finetune", "inference", "preprocess", "idle", "hung")


@dataclass(frozen=True)
class WorkloadOrder:
    """Run `kind` for `minutes` on the devices `gpus` (NVML indices) of `node`, taking `memory_mib` on each."""

    node: str
    gpus: tuple[int, ...]
    kind: str
    memory_mib: int
    minutes: int


def place_order(folder: Path, order: WorkloadOrder) -> None:
    """Leave an order for the supervisor; whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{uuid.uuid4().hex}"
    draft.write_text(json.dumps(asdict(order)))
    os.replace(draft, folder / f"{uuid.uuid4().hex}.json")


def take_orders(folder: Path) -> list[WorkloadOrder]:
    """The waiting orders; each is handed out once."""
    orders = []
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text())
        path.unlink()
        orders.append(WorkloadOrder(**{**raw, "gpus": tuple(raw["gpus"])}))
    return orders


def command(order: WorkloadOrder, demo_dir: Path) -> list[str]:
    """The command line that carries an order out; it ends by itself after its minutes."""
    return [
        *(sys.executable, "-m", "simulator", "run"),
        *("--state", str(demo_dir / "nodes" / order.node / "nvml.state")),
        *("--gpu", ",".join(map(str, order.gpus))),
        *("--mem", str(order.memory_mib), "--workload", order.kind),
        *("--", "sleep", str(order.minutes * 60)),
    ]


def run(order: WorkloadOrder, demo_dir: Path) -> "subprocess.Popen[bytes]":
    """Start an order in a session of its own; the caller reaps it."""
    log = (demo_dir / "logs" / "workloads.log").open("ab")
    return subprocess.Popen(
        command(order, demo_dir), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
