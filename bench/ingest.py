"""Samples through the real door: web workers, the node API, PostgreSQL. `python -m bench.ingest --devices 2500`.

Every node sends what its agent sends, gzipped, at its own moment of each period, and what was refused again at its
next turn, as the agent's spool does. Beside it the rollups run as beat runs them. Reported: p50 and p95 of a batch, the
share of a core that web, database and senders took, processor milliseconds a batch, rows lost (made and not in the
table: none may be), what was said to batches that were refused, bytes a sample with indexes, seconds of the rollups;
then rows a second when the senders do not wait for their turn.

    --seconds   how long it is sent at the pace of the fleet (the issue asks 1800 for 2,500 and 600 for 25,000 devices)
    --rounds    looks in one batch: 1 is sent every period, 3 every three periods
    --flood     seconds of sending as fast as it goes, afterwards
"""

import argparse
import gzip
import http.client
import json
import multiprocessing
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from bench.demo_start import free_port, seconds_until
from bench.ingest_senders import Job, Node, Sent, flush, send_all, together
from bench.results_writer import percentile, report
from bench.servers import django_on_servers, open_folder

GPUS_A_NODE = 8
PERIOD_SECONDS = 10.0
ROLL_UP_SECONDS = 30.0
WARM_UP_CALLS = 30


@dataclass
class Load:
    """Processor seconds of a tree of processes between two looks."""

    pids: list[int]

    def seconds(self) -> float:
        """Used so far, with those of children that have ended and were waited for (a session of the database)."""
        total = 0.0
        for pid in self.pids:
            try:
                parent = psutil.Process(pid)
                tree = [parent, *parent.children(recursive=True)]
                total += sum(sum(each.cpu_times()[:4]) for each in tree if each.is_running())
            except psutil.Error:
                continue
        return total


@dataclass(frozen=True)
class Used:
    """Processor seconds: of the web workers, of the whole database, and of that the session that rolls up."""

    web: float
    database: float
    rollups: float


def make_fleet(devices: int) -> list[tuple[str, list[str]]]:
    """Nodes of eight GPUs: (token, uuids) each."""
    from cluster.models import Device, GpuClass, Node, Pool
    from cluster.services.nodes import hash_token

    gpu_class = GpuClass.objects.create(code="h100-sxm-80", name="H100", nvml_name="NVIDIA H100", memory_mib=81_559)
    pool = Pool.objects.create(name="ingest", gpu_class=gpu_class)
    tokens = [f"bench-ingest-{number:05d}" for number in range(-(-devices // GPUS_A_NODE))]
    nodes = Node.objects.bulk_create(
        Node(name=f"ingest-{number:05d}", pool=pool, state="ready", token_hash=hash_token(token))
        for number, token in enumerate(tokens)
    )
    rows = [
        Device(
            node=nodes[number // GPUS_A_NODE],
            uuid=f"GPU-ingest-{number:06d}",
            index=number % GPUS_A_NODE,
            gpu_class=gpu_class,
            memory_mib=81_559,
        )
        for number in range(devices)
    ]
    Device.objects.bulk_create(rows, batch_size=5000)
    uuids = [row.uuid for row in rows]
    return [(token, uuids[n * GPUS_A_NODE : (n + 1) * GPUS_A_NODE]) for n, token in enumerate(tokens)]


@contextmanager
def web(folder: Any, port: int) -> Any:
    """The portal's web workers, as the demo and production start them."""
    import os

    from portal.demo import processes
    from portal.demo.options import DemoOptions
    from portal.embedded.process import Child

    spec = processes.portal_processes(
        DemoOptions(folder, port, 0), {**os.environ, "PYTHONUNBUFFERED": "1", "RATELIMIT": "true"}
    )[0]
    child = Child(spec)
    child.start()
    try:
        seconds_until(f"http://127.0.0.1:{port}/healthz", child.process)
        yield child
    finally:
        child.stop()


def warm_up(port: int, token: str) -> None:
    """Empty batches until each worker has loaded what it needs: the first call of a process takes seconds."""
    connection, node = http.client.HTTPConnection("127.0.0.1", port, timeout=60), Node(token, [])
    for turn in range(WARM_UP_CALLS):
        node.waiting.append(gzip.compress(json.dumps({"boot_id": "warm-up", "sequence": turn, "samples": []}).encode()))
        flush(connection, node, Sent())


def at_pace(jobs: list[Job], wanted: Any) -> tuple[Sent, list[float]]:
    """Send for so long, and roll up beside it; what was sent, and the seconds of each rollup."""
    from django.utils import timezone

    from telemetry import partitions, services

    answers: Any = multiprocessing.get_context("spawn").Queue()
    senders = [
        multiprocessing.get_context("spawn").Process(target=send_all, args=(job, answers), daemon=True) for job in jobs
    ]
    for sender in senders:
        sender.start()
    until, rolled = time.monotonic() + wanted.seconds, []
    sent: list[Sent] = []
    while len(sent) < len(senders):
        begun = time.perf_counter()
        partitions.ensure(timezone.now())
        services.roll_up(timezone.now())
        rolled.append(time.perf_counter() - begun)
        pause = min(ROLL_UP_SECONDS, max(1.0, until - time.monotonic()))
        try:
            sent.append(answers.get(timeout=pause))
        except Exception:  # queue.Empty: nobody is done yet
            continue
    return together(sent), rolled


def measure(wanted: Any, services_: Any) -> int:
    """1 when a row was lost."""
    fleet = make_fleet(wanted.devices)
    with open_folder("bitgoeul-ingest-") as folder:
        port = free_port()
        with web(folder, port) as child:
            warm_up(port, fleet[0][0])
            own = session_pid()
            loads = [Load([child.process.pid]), Load([database_pid()]), Load([own])]
            jobs = [Job(port, fleet[n :: wanted.senders], PERIOD_SECONDS, wanted) for n in range(wanted.senders)]
            before, begun = [load.seconds() for load in loads], time.monotonic()
            sent, rolled = at_pace(jobs, wanted)
            wall = time.monotonic() - begun
            used = Used(*(load.seconds() - then for load, then in zip(loads, before, strict=True)))
            lost = tell_pace(wanted, sent, rolled, used, wall)
            tell_rollups(wanted)
            if wanted.flood:
                tell_flood(wanted, fleet, port, loads)
    return int(lost > 0)


def session_pid() -> int:
    """The server's process for this session."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def database_pid() -> int:
    """The server's first process: the parent of the one of this session."""
    return psutil.Process(session_pid()).ppid()


def tell_pace(wanted: Any, sent: Sent, rolled: list[float], used: Used, wall: float) -> int:
    """Report the pace; rows that were made and are not there."""
    from telemetry import partitions
    from telemetry.models import Sample

    stored = Sample.objects.count()
    vacuum()
    size = partitions.sizes()[0]
    detail: dict[str, Any] = {
        "devices": wanted.devices,
        "seconds": round(wall),
        "rounds": wanted.rounds,
        "batches": len(sent.took),
    }
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        report(f"ingest.batch_{name}", round(percentile(sent.took, share), 1), "ms", **detail)
    tell_used(sent, used, wall, detail)
    lost = sent.rows - stored
    unsaid = {"given_up": sent.given_up, "left_waiting": sent.left}
    report("ingest.lost", lost, "rows", made=sent.rows, stored=stored, batches_given_up=unsaid, **detail)
    report("ingest.refused", sent.refused.total(), "batches", said=dict(sent.refused.most_common(10)), **detail)
    report("ingest.bytes", round(size.bytes / max(stored, 1), 1), "bytes/sample", index=size.index_bytes, **detail)
    worst = round(max(rolled), 2)
    report("ingest.roll_up", round(percentile(rolled, 0.95), 2), "s", runs=len(rolled), worst=worst, **detail)
    report("ingest.senders_late", round(sent.late, 1), "s", **detail)
    return lost


def tell_used(sent: Sent, used: Used, wall: float, detail: dict[str, Any]) -> None:
    """Report shares of a core, and what a batch cost: that of the rollups is told apart."""
    cores: dict[str, Any] = {
        "web_cores": round(used.web / wall, 3),
        "database_cores": round(used.database / wall, 3),
        "sender_cores": round(sent.cpu / wall, 3),
    }
    report("ingest.rows", round(sent.rows / wall), "rows/s", **detail, **cores)
    for name, seconds in (("web", used.web), ("database", used.database - used.rollups), ("rollups", used.rollups)):
        report(f"ingest.{name}_cpu", round(1000 * seconds / max(len(sent.took), 1), 2), "ms/batch", **detail)


def tell_rollups(wanted: Any) -> None:
    """Seconds of making everything once more from the start, and of the hours."""
    from datetime import timedelta

    from django.utils import timezone

    from telemetry import services
    from telemetry.models import DeviceMinute, RollupMark

    now = timezone.now()
    begun = time.perf_counter()
    services.roll_up_hours(now, since=now - timedelta(hours=1))
    report("ingest.hours", round(time.perf_counter() - begun, 2), "s", devices=wanted.devices)
    DeviceMinute.objects.all().delete()
    RollupMark.objects.all().delete()
    begun = time.perf_counter()
    made = services.roll_up(now)
    report("ingest.minutes_anew", round(time.perf_counter() - begun, 2), "s", rows=made, devices=wanted.devices)


def tell_flood(wanted: Any, fleet: Any, port: int, loads: list[Load]) -> None:
    """Rows a second when nobody waits for a turn, and what a batch costs then."""
    wanted.seconds, wanted.ahead = wanted.flood, True
    jobs = [Job(port, fleet[n :: wanted.senders], 0.0, wanted) for n in range(wanted.senders)]
    before, begun = [load.seconds() for load in loads], time.monotonic()
    sent, _rolled = at_pace(jobs, wanted)
    wall = time.monotonic() - begun
    web, database, rollups = (load.seconds() - then for load, then in zip(loads, before, strict=True))
    batches = max(len(sent.took), 1)
    detail: dict[str, Any] = {
        "devices": wanted.devices,
        "rounds": wanted.rounds,
        "web_ms_a_batch": round(1000 * web / batches, 2),
        "database_ms_a_batch": round(1000 * (database - rollups) / batches, 2),
        "p95_ms": round(percentile(sent.took, 0.95), 1),
        "refused": dict(sent.refused.most_common(10)),
    }
    answered = round(len(sent.took) / wall)
    report("ingest.saturated", round(sent.rows / wall), "rows/s", batches_a_second=answered, **detail)


def vacuum() -> None:
    """So that the counts of rows are those of now."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) telemetry_sample")


def main() -> int:
    """1 when a row was lost."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("seconds", 60), ("rounds", 1), ("flood", 20), ("senders", 2)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    wanted.ahead = False
    with django_on_servers() as services_:
        return measure(wanted, services_)


if __name__ == "__main__":
    sys.exit(main())
