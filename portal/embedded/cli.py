"""`python -m portal.embedded run FOLDER`: the two servers in the foreground, for people who develop."""

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path

from portal.embedded.errors import EmbeddedError
from portal.embedded.services import EmbeddedServices


def _interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


def run(folder: Path, *, fast: bool) -> None:
    """Print the export lines and stay until SIGINT or SIGTERM."""
    with EmbeddedServices(folder, fast=fast) as services:
        print(f"export DATABASE_URL={shlex.quote(services.database_url)}")
        print(f"export REDIS_URL={shlex.quote(services.redis_url)}", flush=True)
        while True:
            time.sleep(0.3)
            for name in services.tend():
                print(f"{name} died and was started again", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 stopped by a signal, 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m portal.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("run", help="start PostgreSQL and Valkey and stay in the foreground")
    start.add_argument("folder", type=Path, help="where data, logs and passwords are kept")
    start.add_argument("--fast", action="store_true", help="no durability, for tests")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what it leaves in the background deaf to SIGINT
        signal.signal(number, _interrupt)
    try:
        run(options.folder, fast=options.fast)
    except EmbeddedError as error:
        print(f"bitgoeul: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0
