"""`make bench`: every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys

NAMES = (
    "demo_start",
    "page_queries",
    "programme",
    "booking_race",
    "booking_scale",
    "lease_lag",
    "lease_crowd",
    "sampler_cost",
    "ingest",
    "polling",
    "metrics",
    "history",
    "fleet",
    "series",
    "usage_evidence",
    "idle_judgement",
    "faults",
)


def main() -> int:
    """The number of benchmarks that failed."""
    wanted = sys.argv[1:] or NAMES
    return sum(subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode != 0 for name in wanted)


if __name__ == "__main__":
    sys.exit(main())
