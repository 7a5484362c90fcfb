"""A whole portal and its agent on this machine's own GPU, and one reservation from booking to return.

`python -m tests.hardware.lease FOLDER RECORD.json`: embedded PostgreSQL and Valkey, web, worker, beat, the agent in its
sandbox; about six minutes. HARDWARE_PROFILE puts the simulator in the GPU's place. Everything under FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from portal.demo import orphans, processes
from portal.demo.options import DemoOptions, node_environment, portal_environment
from portal.demo.readiness import ask
from portal.demo.runner import Demo, StopSignals, prepare_folder, say
from portal.demo.secrets import make_secrets
from portal.embedded import EmbeddedServices
from portal.embedded.ports import free_port
from portal.embedded.process import ChildSpec
from tests.hardware import target as targets
from tests.hardware.target import ROOT, Target
from tools.catalogue import compile_if_stale

NODE = "gpu-01"


def agent_spec(options: DemoOptions, token: str, redis_url: str) -> ChildSpec:
    """The agent in its sandbox, on whatever library this process would load."""
    folder = options.folder / "nodes" / NODE
    folder.mkdir(parents=True, exist_ok=True)
    token_file = folder / "token"
    token_file.touch(0o600)
    token_file.write_text(token + "\n")
    command = [sys.executable, "-m", "agent", "--portal", options.url, "--token-file", str(token_file)]
    command += ["--sandbox", str(folder / "sandbox")]
    environment = node_environment(redis_url=redis_url)
    return ChildSpec("agent", command, options.folder, environment, ROOT)


@contextmanager
def portal(options: DemoOptions) -> Iterator[tuple[Demo, str]]:
    """The portal as `make demo` has it, with no node; and its broker's address."""
    secrets = make_secrets()
    with StopSignals() as signals, EmbeddedServices(options.folder) as services:
        demo = Demo(options, services, signals)
        environment = portal_environment(
            options, secrets, database_url=services.database_url, redis_url=services.redis_url
        )
        try:
            demo.run_once(
                processes.manage(options, environment, "seed_demo", "--migrate", "--dir", str(options.folder))
            )
            for spec in processes.portal_processes(options, environment):
                demo.start(spec)
            demo.wait_for(lambda: ask(f"{options.url}/healthz")[0], 60, "the web server")
            os.environ.update(environment)
            yield demo, services.redis_url
        finally:
            demo.stop()


def go(target: Target, folder: Path, path: Path) -> None:
    """From nothing to a returned GPU; what was seen is written as it is seen."""
    began, kept = time.monotonic(), {"at": datetime.now().astimezone().isoformat(timespec="seconds")}
    options = DemoOptions(folder, free_port(), 0)
    prepare_folder(options)
    compile_if_stale()

    def record(name: str, seen: Any) -> None:
        kept[name] = seen
        say(f"{time.monotonic() - began:6.1f} s  {name}: {json.dumps(seen, default=str, ensure_ascii=False)[:300]}")
        path.write_text(json.dumps(kept, indent=1, default=str, ensure_ascii=False) + "\n")

    with portal(options) as (demo, redis_url):
        record("portal_ready_seconds", round(time.monotonic() - began, 1))
        import django

        django.setup()  # the addresses of the servers are known only now
        from tests.hardware.reservation import Reservation

        story = Reservation(target, demo.look, record)
        demo.start(agent_spec(options, story.token, redis_url))
        story.walk()


def main() -> int:
    """Exit codes: 0 the reservation was taken back and its use is told, 1 not."""
    if why := targets.why_not():
        print(why, file=sys.stderr)
        return 1
    folder, path = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    orphans.adopt_orphans()
    try:
        with targets.opened() as target:
            go(target, folder, path)
    finally:
        orphans.end_descendants(timeout_seconds=3.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
