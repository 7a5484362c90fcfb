"""Seconds from `make demo` to its first page: in a fresh clone, in an empty folder, and again in the same folder.

The fresh clone makes its own .venv from the lock with whatever pip or uv has in its cache: run it twice for a warm one.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.results_writer import report
from bench.servers import open_folder

ROOT = Path(__file__).resolve().parent.parent
DEMO = (sys.executable, "-m", "portal.demo")


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def seconds_until(url: str, process: "subprocess.Popen[bytes] | None", limit_seconds: float = 300) -> float:
    """Until `url` answers 200; SystemExit if the process ends or the limit passes."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    while time.monotonic() - began < limit_seconds:
        if process is None or process.poll() is not None:
            sys.exit(f"it ended with {process.returncode}" if process else "it was not started")
        try:
            if opener.open(url, timeout=5).status == 200:
                return time.monotonic() - began
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} did not answer within {limit_seconds:.0f} s")


@contextmanager
def running_demo(
    folder: Path, command: Sequence[str] = DEMO, checkout: Path = ROOT, **variables: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """(address, process) of a demo of three nodes in `folder`, just started; stopped in order at the end."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = {**inherited, "PORT": str(port), "DEMO_DIR": str(folder), "NODES": "3", **variables}
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # make passes nothing on
        process.wait(60)


def measure(folder: Path) -> tuple[float, float]:
    """(seconds to the sign-in page, seconds to /readyz) of one start of three nodes in `folder`."""
    with running_demo(folder) as (url, process):
        page = seconds_until(f"{url}/accounts/login/", process)
        return page, page + seconds_until(f"{url}/readyz", process)


def measure_clone(folder: Path) -> float:
    """Seconds from `make demo` in a fresh clone of HEAD to the sign-in page: venv, install, tables, story, start."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    with running_demo(folder / "demo-of-clone", ["make", "-s", "demo"], clone) as (url, process):
        return seconds_until(f"{url}/accounts/login/", process, 900)


def main() -> None:
    """A fresh clone, then two starts of this checkout: cold (nothing in the folder) and resumed."""
    with open_folder("bitgoeul-bench-") as folder:
        report("demo_start.fresh_clone_page", round(measure_clone(folder), 1), "s", nodes=3)
        for kind in ("first", "again"):
            page, ready = measure(folder / "demo")
            report(f"demo_start.{kind}_page", round(page, 1), "s", nodes=3)
            report(f"demo_start.{kind}_ready", round(ready, 1), "s", nodes=3)


if __name__ == "__main__":
    main()
