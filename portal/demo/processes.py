"""Which processes make a portal, and with which arguments."""

import shlex
import subprocess
import sys
from collections.abc import Mapping

from portal.demo.options import REPOSITORY, DemoOptions
from portal.embedded import EmbeddedError
from portal.embedded.process import ChildSpec

CELERY = [sys.executable, "-m", "celery", "-A", "portal.celery:app"]
PROFILE = "h100_sxm_8"
STOP_SECONDS = 10.0


def _spec(
    options: DemoOptions, name: str, command: list[str], environment: Mapping[str, str], stop_seconds: float
) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=command,
        folder=options.folder,
        environment=environment,
        working_folder=REPOSITORY,
        stop_timeout_seconds=stop_seconds,
    )


def manage(options: DemoOptions, environment: Mapping[str, str], *arguments: str) -> ChildSpec:
    """A management command that runs once; its log is named after it."""
    command = [sys.executable, "manage.py", *arguments]
    return _spec(options, arguments[0], command, environment, STOP_SECONDS)


def portal_processes(options: DemoOptions, environment: Mapping[str, str]) -> list[ChildSpec]:
    """Web, worker, beat; in the order of their start."""
    web = [sys.executable, "-m", "gunicorn", "portal.wsgi:application", "--bind", f"127.0.0.1:{options.port}"]
    web += ["--workers", "2", "--threads", "4", "--worker-class", "gthread", "--graceful-timeout", "5"]
    web += ["--timeout", "60", "--access-logfile", "-"]
    web += ["--preload"]  # the code is loaded once, not once a worker
    web += ["--no-control-socket"]  # it would be made below the home folder, shared by every demo of the user
    worker = [*CELERY, "worker", "--queues", "portal", "--hostname", "portal@%h", "--pool", "prefork"]
    worker += ["--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    beat = [*CELERY, "beat", "--schedule", str(options.folder / "run" / "beat-schedule")]
    beat += ["--pidfile", "", "--loglevel", "WARNING"]
    return [
        _spec(options, "web", web, environment, 8.0),
        _spec(options, "worker", worker, environment, STOP_SECONDS),
        _spec(options, "beat", beat, environment, 5.0),
    ]


def simulator_process(options: DemoOptions, node: str, environment: Mapping[str, str]) -> ChildSpec:
    """The brain behind one node's simulated GPUs."""
    seed = options.node_names.index(node) + 1
    command = [sys.executable, "-m", "simulator", "serve", PROFILE]
    command += ["--state", str(options.node_folder(node) / "nvml.state"), "--node", node, "--seed", str(seed)]
    return _spec(options, f"{node}-simulator", command, environment, 5.0)


def agent_process(options: DemoOptions, node: str, environment: Mapping[str, str]) -> ChildSpec:
    """The agent of one node. It stops its tenants' processes itself and gets time for it."""
    folder = options.node_folder(node)
    command = [sys.executable, "-m", "agent", "--portal", options.url, "--token-file", str(folder / "token")]
    command += ["--sandbox", str(folder / "sandbox")]
    nvml = simulated_library(options, node, environment)
    return _spec(options, f"{node}-agent", command, {**environment, **nvml}, STOP_SECONDS)


def simulated_library(options: DemoOptions, node: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables under which an NVML program sees this node, from `python -m simulator env`."""
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "env", "--state", str(options.node_folder(node) / "nvml.state")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env=dict(environment),
        start_new_session=True,  # the terminal's Ctrl-C is for us, who then stop in order
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise EmbeddedError(f"the simulator of {node} gives no environment: {words[-1] if words else 'no output'}")
    return parse_exports(done.stdout)


def parse_exports(text: str) -> dict[str, str]:
    """`export NAME=value` lines, quoted as a shell wants them, as a dict."""
    words = shlex.split(text, comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)
