"""What Prometheus' look costs: `python -m bench.metrics --devices 25000`.

`/metrics` and `/metrics/devices` as it asks for them (packed), of a fleet whose devices all have a newest sample: p50
and p95 from request to answer in this process, processor time, bytes on the wire and lines. One line. To hold: a second
a look at 25,000 devices, of which Prometheus asks one in fifteen seconds.
"""

import argparse
import gzip
import statistics
import sys
from typing import Any

from bench.cpu import cost_of
from bench.ingest import make_fleet
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

TURNS = 8
MOST_MS = 1000
_NEWEST = """
INSERT INTO telemetry_latestsample (device_id, at, newest_at, energy_mj, memory_used_mib, power_watts,
    utilisation_percent, temperature_c, process_count, sm_active_permille, tensor_active_permille, processes)
SELECT id, now(), now(), 9000000000123 + id, 40000 + id %% 1000, 500.5, id %% 100, 60, 1, id %% 1000, id %% 700, '[]'
FROM cluster_device
ON CONFLICT (device_id) DO UPDATE SET at = EXCLUDED.at, newest_at = EXCLUDED.newest_at
"""


def measure(client: Any, address: str, turns: int) -> dict[str, Any]:
    """The figures of one page."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [])
    sizes = []

    def look() -> None:
        answer = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200, answer.status_code
        sizes.append(answer.content)

    look()
    cost = cost_of(look, turns)
    text = gzip.decompress(sizes[-1])
    return {
        "p50": round(percentile(cost.took, 0.5), 1),
        "p95": round(percentile(cost.took, 0.95), 1),
        "web_ms": round(cost.web, 1),
        "database_ms": None if cost.database is None else round(cost.database, 1),
        "bytes": len(text),
        "packed_bytes": round(statistics.median(len(each) for each in sizes)),
        "lines": text.count(b"\n"),
    }


def main() -> int:
    """1 when the devices take longer than a second."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 25_000), ("turns", TURNS)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    with django_on_servers():
        make_fleet(wanted.devices)
        from django.db import connection
        from django.test import Client

        with connection.cursor() as cursor:
            cursor.execute(_NEWEST, [])
            cursor.execute("ANALYZE")
        portal, devices = (measure(Client(), page, wanted.turns) for page in ("/metrics", "/metrics/devices"))
    ok = devices["p95"] <= MOST_MS
    report("metrics", devices["p95"], "ms", devices=wanted.devices, ok=ok, portal=portal, of_devices=devices)
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
