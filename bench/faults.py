"""Fault campaign: leases on simulated nodes while everything is killed at random and every device fault is injected.

    python -m bench.faults --nodes 20 --leases 500 --seed 1

PostgreSQL and Valkey, web, worker, beat, and the agents are real processes, started as `make demo` starts them; each
node reaches the portal over a line of its own that can be cut. Tenants book through the service (windows are shortened
afterwards, past the rule of ten minutes) and run a process on their devices; a quarter of those ignore SIGTERM. An
observer that asks the journals and the driver, never the portal, counts overlaps and seconds past the hard end. At the
end everything is mended, and what has not settled within five minutes is counted. 1 unless every bound is kept.
"""

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.campaign import outcome
from bench.campaign.chaos import Chaos
from bench.campaign.machines import Machines, running_machines
from bench.campaign.observer import Observer
from bench.campaign.operating import Operator
from bench.campaign.tenants import Tenants
from bench.demo_start import seconds_until
from bench.results_writer import report
from bench.servers import django_on_servers, open_folder

log = logging.getLogger(__name__)
GPU_CLASS = "h100-sxm-80"
TURN_SECONDS = 0.2
AFTER_SECONDS = 10.0
"""What the end of the last lease takes, struck like everything before it."""
OPERATOR_SECONDS = 5.0
START_SECONDS = 240.0
PAST_END_BOUND = 5.0


def enrol(machines: Machines, count: int) -> Any:
    """The pool, and its nodes with their agents."""
    from cluster.models import GpuClass, Pool
    from cluster.services.nodes import register_node
    from common.actors import SEED

    gpu_class = GpuClass.objects.create(
        code=GPU_CLASS, name="H100 SXM 80 GB", nvml_name="NVIDIA H100 80GB HBM3", memory_mib=81_559
    )
    pool = Pool.objects.create(name="campaign", gpu_class=gpu_class)
    for name in machines.options.node_names[:count]:
        _node, token = register_node(actor=SEED, name=name, pool=pool)
        machines.start_node(name, token)
    return pool


class Campaign:
    """One run. `turn` is one round of the loop; a database that is away is somebody's next turn."""

    def __init__(self, machines: Machines, pool: Any, observer: Observer, given: argparse.Namespace) -> None:
        gpus = given.nodes * given.devices
        self.machines, self.observer, self.given = machines, observer, given
        self.tenants = Tenants(pool, GPU_CLASS, gpus, random.Random(given.seed))
        self.chaos = Chaos(machines, random.Random(given.seed + 1))
        self.operator = Operator()
        self._due: dict[str, float] = {}

    def run(self) -> None:
        """Until as many leases are booked as were asked for and none is left to end by itself."""
        while len(self.tenants.booked) < self.given.leases:
            self._turn(booking=True)
        while time.time() < self.tenants.last_end + AFTER_SECONDS:
            self._turn(booking=False)

    def calm(self) -> float | None:
        """Everything mended; seconds until all has settled, None where it has not in the time for it."""
        self.chaos.calm()
        began = time.monotonic()
        while time.monotonic() - began < self.given.calm:
            self._turn(booking=False, striking=False)
            with self._database():
                if not outcome.unfinished(self.tenants.booked) and not outcome.unsettled(self.machines):
                    return time.monotonic() - began
        return None

    def _turn(self, *, booking: bool, striking: bool = True) -> None:
        from django.utils import timezone

        time.sleep(TURN_SECONDS)
        self.machines.look()
        now = time.monotonic()
        if striking:
            self._every("strike", self.given.strike_every, lambda: self.chaos.strike(now))
        self.chaos.mend(now)
        self.tenants.work(self.observer, self.machines.nodes, time.time())
        if booking:
            self._every("book", self.given.book_every, lambda: self.tenants.book(timezone.now()))
        self._every("act", 1.0, lambda: self.tenants.act(time.time()))
        self._every("operate", OPERATOR_SECONDS, lambda: self.operator.round(self.machines.nodes))

    def _every(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        if time.monotonic() < self._due.get(name, 0.0):
            return
        self._due[name] = time.monotonic() + seconds
        with self._database():
            do()

    @staticmethod
    def _database() -> Any:
        from django.db import Error, connection

        connection.close_if_unusable_or_obsolete()
        return suppress(Error)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run a campaign of that size; every figure by its name."""
    with (
        open_folder("bitgoeul-campaign-") as folder,
        django_on_servers() as services,
        running_machines(folder, services, given.nodes, given.devices) as machines,
    ):
        seconds_until(f"{machines.options.url}/healthz", machines.children["web"].process)
        pool = enrol(machines, given.nodes)
        wait_for_devices(machines, given.nodes * given.devices)
        with Observer(machines.nodes.values()) as observer:
            campaign = Campaign(machines, pool, observer, given)
            began = time.monotonic()
            campaign.run()
            lasted = time.monotonic() - began
            settled = campaign.calm()
        return figures(campaign, lasted, settled)


def wait_for_devices(machines: Machines, count: int) -> None:
    """Until every device is known and free."""
    from cluster.models import Device

    until = time.monotonic() + START_SECONDS
    while Device.objects.filter(state="available").count() < count:
        machines.look()
        if time.monotonic() > until:
            sys.exit(f"fewer than {count} GPUs became available within {START_SECONDS:.0f} s")
        time.sleep(TURN_SECONDS)


def figures(campaign: Campaign, lasted: float, settled: float | None) -> dict[str, Any]:
    """Everything that was counted. The agents are stopped first, so that no batch is under way."""
    machines, seen, booked = campaign.machines, campaign.observer.seen, campaign.tenants.booked
    left = outcome.unfinished(booked) if settled is None else []
    unsettled = outcome.unsettled(machines) if settled is None else []
    machines.stop()
    samples, past = outcome.samples_of(machines), outcome.past_end(seen)
    return {
        "leases": len(booked),
        "nodes": campaign.given.nodes,
        "devices": campaign.given.nodes * campaign.given.devices,
        "seconds": round(lasted),
        "ended as": outcome.lifecycles(booked),
        "accesses seen": len(seen.access),
        "bookings refused": dict(campaign.tenants.refused),
        "struck": dict(sorted(campaign.chaos.done.items())),
        "processes started again": machines.started_again,
        "done by the operator": dict(campaign.operator.done),
        "overlaps of access": len(seen.overlaps),
        "overlaps of promises": outcome.overlapping_promises(),
        "past the hard end p50, s": past["p50"],
        "past the hard end p99, s": past["p99"],
        "past the hard end max, s": past["max"],
        "batches of samples": samples.numbered,
        "batches dropped and told": samples.dropped,
        "batches lost": samples.lost,
        "leases not converged": len(left),
        "seconds of calm until all settled": None if settled is None else round(settled),
        "looks": seen.looks,
        "slowest look, s": round(seen.slowest_look, 2),
        "unfinished": left,
        "unsettled": unsettled,
    }


def is_kept(found: dict[str, Any]) -> bool:
    """Whether every bound is kept."""
    zeros = ("overlaps of access", "overlaps of promises", "batches lost", "leases not converged", "unsettled")
    return not any(found[name] for name in zeros) and found["past the hard end p99, s"] <= PAST_END_BOUND


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The size of a campaign."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--devices", type=int, default=4, metavar="N", help="of each node")
    parser.add_argument("--leases", type=int, default=500)
    parser.add_argument("--book-every", type=float, default=1.0, metavar="S", help="seconds between bookings")
    parser.add_argument("--strike-every", type=float, default=4.0, metavar="S", help="seconds between faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", type=float, default=300.0, metavar="S", help="seconds in which all must settle")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where the figures are kept (bench/results)")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run, print the table and the figures; 1 where a bound was not kept."""
    given = parse(words)
    found = measure(given)
    print(outcome.rows(found), file=sys.stderr)
    size = {name: found[name] for name in ("leases", "nodes", "devices", "seconds")}
    for name, unit in (
        ("overlaps of access", "pairs"),
        ("overlaps of promises", "pairs"),
        ("past the hard end p99, s", "s"),
        ("batches lost", "batches"),
        ("leases not converged", "leases"),
    ):
        report(f"faults.{name.split(',')[0].replace(' ', '_')}", found[name], unit, folder=given.results, **size)
    return int(not is_kept(found))


if __name__ == "__main__":
    sys.exit(main())
