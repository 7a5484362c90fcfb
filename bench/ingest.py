"""Samples through the real door: web workers, the node API, PostgreSQL. `python -m bench.ingest --devices 2500`.

Every node sends what its agent sends, gzipped, at its own moment of each period, and again when nobody answered. Beside
it the rollups run as beat runs them. Reported: p50 and p95 of a batch, the share of a core that web, database and
senders took, rows lost (none may be), bytes a sample with indexes, seconds of the rollups; then rows a second when the
senders do not wait for their turn.

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
from bench.ingest_senders import Job, Sent, post, send_all
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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for turn in range(WARM_UP_CALLS):
        body = gzip.compress(json.dumps({"boot_id": "warm-up", "sequence": turn, "samples": []}).encode())
        post(connection, token, body, Sent())


def at_pace(jobs: list[Job], wanted: Any) -> tuple[list[Sent], list[float]]:
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
    return sent, rolled


def measure(wanted: Any, services_: Any) -> int:
    """1 when a row was lost."""
    fleet = make_fleet(wanted.devices)
    with open_folder("bitgoeul-ingest-") as folder:
        port = free_port()
        with web(folder, port) as child:
            warm_up(port, fleet[0][0])
            database = Load([database_pid()])
            portal = Load([child.process.pid])
            jobs = [Job(port, fleet[n :: wanted.senders], PERIOD_SECONDS, wanted) for n in range(wanted.senders)]
            before, begun = (portal.seconds(), database.seconds()), time.monotonic()
            sent, rolled = at_pace(jobs, wanted)
            wall = time.monotonic() - begun
            shares = [
                round((now - then) / wall, 3)
                for now, then in zip((portal.seconds(), database.seconds()), before, strict=True)
            ]
            lost = tell_pace(wanted, sent, rolled, shares, wall)
            tell_rollups(wanted)
            if wanted.flood:
                tell_flood(wanted, fleet, port)
    return int(lost > 0)


def database_pid() -> int:
    """The server's first process: the parent of the one of this session."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = int(cursor.fetchone()[0])
    parent = psutil.Process(session).parent()
    return parent.pid if parent else session


def tell_pace(wanted: Any, sent: list[Sent], rolled: list[float], shares: list[float], wall: float) -> int:
    """Report the pace; rows that were sent and are not there, and batches that were refused."""
    from telemetry import partitions
    from telemetry.models import Sample

    rows, took = sum(each.rows for each in sent), [ms for each in sent for ms in each.took]
    stored = Sample.objects.count()
    vacuum()
    size = partitions.sizes()[0]
    used: dict[str, Any] = {
        "web_cores": shares[0],
        "database_cores": shares[1],
        "sender_cores": round(sum(s.cpu for s in sent) / wall, 3),
    }
    detail: dict[str, Any] = {
        "devices": wanted.devices,
        "seconds": round(wall),
        "rounds": wanted.rounds,
        "batches": len(took),
    }
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        report(f"ingest.batch_{name}", round(percentile(took, share), 1), "ms", **detail)
    report("ingest.rows", round(rows / wall), "rows/s", **detail, **used)
    failed = sum(each.failed for each in sent)
    report("ingest.lost", rows - stored, "rows", sent=rows, stored=stored, refused_batches=failed, **detail)
    report("ingest.bytes", round(size.bytes / max(stored, 1), 1), "bytes/sample", index=size.index_bytes, **detail)
    report(
        "ingest.roll_up",
        round(percentile(rolled, 0.95), 2),
        "s",
        runs=len(rolled),
        worst=round(max(rolled), 2),
        **detail,
    )
    late = max((each.late for each in sent), default=0.0)
    report("ingest.senders_late", round(late, 1), "s", **detail)
    return rows - stored + failed


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


def tell_flood(wanted: Any, fleet: Any, port: int) -> None:
    """Rows a second when nobody waits for a turn."""
    wanted.seconds, wanted.ahead = wanted.flood, True
    jobs = [Job(port, fleet[n :: wanted.senders], 0.0, wanted) for n in range(wanted.senders)]
    begun = time.monotonic()
    sent, _rolled = at_pace(jobs, wanted)
    wall = time.monotonic() - begun
    rows, took = sum(each.rows for each in sent), [ms for each in sent for ms in each.took]
    detail: dict[str, Any] = {
        "devices": wanted.devices,
        "rounds": wanted.rounds,
        "p95_ms": round(percentile(took, 0.95), 1),
    }
    report("ingest.saturated", round(rows / wall), "rows/s", batches_a_second=round(len(took) / wall), **detail)


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
