"""Two hundred people look at once: `python -m bench.polling --devices 2500 --clients 200`.

Half of them are partners on pages of running reservations (four of an organisation at each), half officers on the
fleet's screen, each signed in, on a fleet with a past (bench.history), through the web workers that production starts
(two, on two cores). Beside it the nodes' figures come in every ten seconds and are rolled up. Said in one line:
requests a second, p50 and p95 of an answer by kind, errors, the cores that web and database took; then the same with
nobody waiting for a turn, which tells how many the portal can bear. To hold: p95 of 300 ms at the pace, no error.
"""

import argparse
import itertools
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.demo_start import free_port
from bench.history import Past, fill
from bench.ingest import Load, database_pid, web
from bench.page_queries import staff
from bench.polling_clients import Job, Seen, Viewer, look_all
from bench.results_writer import percentile, report
from bench.servers import django_on_servers, open_folder

PERIOD_SECONDS, ROLL_UP_TURNS = 10.0, 3
MOST_MS = 300
AT_ONE_LEASE = 4
_SAMPLES = """
INSERT INTO telemetry_sample (device_id, at, energy_mj, memory_used_mib, power_watts, utilisation_percent,
    temperature_c, process_count, sm_active_permille, tensor_active_permille)
SELECT device_id, at, energy_mj, memory_used_mib, power_watts, utilisation_percent, temperature_c, process_count,
       sm_active_permille, tensor_active_permille FROM telemetry_latestsample
"""


def viewers(clients: int) -> list[Viewer]:
    """Partners at running reservations and officers at the fleet, in turn, each with a session."""
    partners = list(itertools.islice(_partners(), -(-clients // 2)))
    officers = [
        Viewer("fleet", "/staff/", cookie_of(staff("officer", f"-{number}"))) for number in range(-(-clients // 2))
    ]
    return [partners[n // 2 % len(partners)] if n % 2 else officers[n // 2] for n in range(clients)]


def _partners() -> Iterator[Viewer]:
    """Up to four people of an organisation at each running reservation, one reservation of an organisation."""
    from allocations.models import Lease
    from partners.models import Membership

    leases = Lease.objects.filter(state="active").select_related("allocation__project").order_by("pk")
    by_organisation = {lease.allocation.project.organisation_id: lease for lease in reversed(leases)}
    for organisation, lease in sorted(by_organisation.items()):
        members = Membership.objects.filter(organisation=organisation).select_related("user").order_by("pk")
        for member in members[:AT_ONE_LEASE]:
            yield Viewer("lease", lease.get_absolute_url(), cookie_of(member.user))


def cookie_of(user: Any) -> str:
    """The cookie of a new session of theirs."""
    from django.test import Client

    client = Client()
    client.force_login(user)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


@contextmanager
def nodes_report() -> Any:
    """The newest figures of every device are written anew every ten seconds, and rolled up every thirty."""
    over = threading.Event()
    thread = threading.Thread(target=_report, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _report(over: threading.Event) -> None:
    from django.db import connection
    from django.utils import timezone

    from telemetry import partitions, services
    from telemetry.models import LatestSample

    turn = 0
    while True:
        LatestSample.objects.update(at=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(_SAMPLES)
        if turn % ROLL_UP_TURNS == 0:
            partitions.ensure(timezone.now())
            services.roll_up(timezone.now())
        turn += 1
        if over.wait(PERIOD_SECONDS):
            connection.close()
            return


def look(port: int, people: list[Viewer], seconds: float, loads: list[Load], *, pause: bool) -> tuple[Seen, dict]:
    """What they saw, and the figures of it."""
    spawn = multiprocessing.get_context("spawn")
    answers: Any = spawn.Queue()
    opened: Any = spawn.Event()
    job = Job(port, people, seconds, pause)
    process = spawn.Process(target=look_all, args=(job, opened, answers), daemon=True)
    process.start()
    opened.wait()  # the pages themselves are not what is measured
    before, begun = [load.seconds() for load in loads], time.monotonic()
    seen: Seen = answers.get()
    process.join()
    wall = time.monotonic() - begun
    used = [round((load.seconds() - then) / wall, 2) for load, then in zip(loads, before, strict=True)]
    every = seen.all
    figures: dict[str, Any] = {
        "requests_a_second": round(len(every) / seconds, 1),
        "requests": len(every),
        "p50": round(percentile(every, 0.5), 1),
        "p95": round(percentile(every, 0.95), 1),
        "errors": dict(Counter(seen.failed)),
        "unchanged": seen.unchanged,
        "kib_a_second": round(seen.bytes / 1024 / seconds),
        "web_cores": used[0],
        "database_cores": used[1],
        "client_cores": round(seen.cpu / wall, 2),
    }
    figures["by_kind"] = {
        kind: {"requests": len(took), "p50": round(percentile(took, 0.5), 1), "p95": round(percentile(took, 0.95), 1)}
        for kind, took in sorted(seen.took.items())
    }
    return seen, figures


def measure(wanted: Any) -> int:
    """1 when an answer failed or the pace is not held."""
    past = Past(devices=wanted.devices, days=wanted.days, shown=4 * wanted.clients, usage_days=1, sample_minutes=5)
    took = sum(fill(past).values(), 0.0)
    people = viewers(wanted.clients)
    with open_folder("bitgoeul-polling-") as folder:
        port = free_port()
        with web(folder, port) as child, nodes_report():
            loads = [Load([child.process.pid]), Load([database_pid()])]
            look(port, people[:8], 2, loads, pause=False)  # the first call of a process takes seconds
            paced, pace = look(port, people, wanted.seconds, loads, pause=True)
            crowd, most = look(port, people, wanted.flood, loads, pause=False)
    detail = {"devices": wanted.devices, "clients": wanted.clients, "seconds": wanted.seconds, "filled_s": round(took)}
    ok = not paced.failed and not crowd.failed and pace["p95"] <= MOST_MS
    report("polling", pace["p95"], "ms", **detail, ok=ok, at_pace=pace, saturated=most)
    return int(not ok)


def main() -> int:
    """1 when an answer failed or the pace is not held."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 2), ("clients", 200), ("seconds", 60), ("flood", 20)):
        options.add_argument(f"--{name}", type=int, default=default)
    with django_on_servers():
        return measure(options.parse_args())


if __name__ == "__main__":
    sys.exit(main())
