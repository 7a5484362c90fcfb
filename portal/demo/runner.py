"""Start everything in order, keep it alive, stop it in order."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import NoReturn, Self

from portal.demo import orphans, processes, workloads
from portal.demo.options import DemoOptions, node_environment, portal_environment
from portal.demo.prepared import COURSE, STRAND, has_course, has_strand, is_prepared, mark_prepared
from portal.demo.readiness import ask, greeting, nodes_joined
from portal.demo.secrets import keep_secrets
from portal.embedded import EmbeddedError, EmbeddedServices
from portal.embedded.lock import FolderLock
from portal.embedded.ports import is_free
from portal.embedded.process import Child, ChildSpec
from tools.catalogue import compile_if_stale

LOOK_SECONDS = 0.25
STATE_FILE_SECONDS = 60.0
SLOW_SECONDS = 60.0
JOIN_SECONDS = 20.0
STRAND_SECONDS = 5.0
PREPARE = "seed_demo"
FEWEST_NODES = 2
"""With fewer, all GPUs are left to whoever tries the story from its beginning."""


class Stopped(Exception):
    """Somebody asked us to stop."""


def say(text: str) -> None:
    print(text, flush=True)


class StopSignals(AbstractContextManager["StopSignals"]):
    """SIGINT, SIGTERM and SIGHUP ask for an orderly stop; `check` raises Stopped at a safe place."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The handlers stay: a second Ctrl-C must not cut the stop short."""

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        self.asked = True

    def check(self) -> None:
        if self.asked:
            raise Stopped


class Demo:
    """The children of one demo, in the order of their start."""

    def __init__(self, options: DemoOptions, services: EmbeddedServices, signals: StopSignals) -> None:
        self.options = options
        self.services = services
        self.signals = signals
        self.children: list[Child] = []

    def run_once(self, spec: ChildSpec) -> None:
        """A management command, to its end; EmbeddedError with its last words when it fails."""
        child = Child(spec)
        self.children.append(child)
        child.start()
        while child.alive:
            self.look()
        process = child.process
        code = process.returncode if process else -1
        self.children.remove(child)
        child.stop()
        if code != 0:
            raise EmbeddedError(f"{spec.name} failed: {child.log_tail(2)} (log: {spec.log_path})")

    def start(self, spec: ChildSpec) -> None:
        child = Child(spec)
        self.children.append(child)
        child.start()

    def look(self) -> None:
        """One turn of the loop: restart what died, collect orphans, obey signals."""
        time.sleep(LOOK_SECONDS)
        self.signals.check()
        for name in self.services.tend():
            say(f"{name} died and was started again")
        for child in self.children:
            if child.spec.name == PREPARE or not child.restart_due():
                continue
            say(f"{child.spec.name} died ({child.exit_text}) and is started again; log: {child.spec.log_path}")
            child.start()
        self._start_workloads()
        orphans.reap_orphans({child.process.pid for child in self._with_services() if child.process})

    def _start_workloads(self) -> None:
        """Carry out what the demonstration's page ordered; a reaper below collects the processes at their end."""
        for order in workloads.take_orders(self.options.folder / "workloads"):
            workloads.run(order, self.options.folder)

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{what} did not come within {seconds:.0f} s; logs: {self.options.folder}/logs")
            self.look()

    def stop(self) -> None:
        """Agents first, while the portal can still hear them; then simulators, beat, worker, web."""
        for kind in ("-agent", "-simulator", "beat", "worker", "web", ""):
            group = [child for child in self.children if child.spec.name.endswith(kind)]
            started = time.monotonic()
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.finish(started + child.spec.stop_timeout_seconds)
                self.children.remove(child)

    def _with_services(self) -> list[Child]:
        servers = [self.services.postgres, self.services.valkey]
        return self.children + [server.child for server in servers if server and server.child]


def prepare_folder(options: DemoOptions) -> None:
    """Make the folders. The database's user passes through the top one and can enter nothing else."""
    options.folder.mkdir(parents=True, exist_ok=True)
    options.folder.chmod(0o711)
    for name in ("logs", "run", "nodes", "mail", "media"):
        (options.folder / name).mkdir(mode=0o700, exist_ok=True)
    for node in options.node_names:
        (options.node_folder(node) / "sandbox").mkdir(mode=0o700, parents=True, exist_ok=True)


def start_simulators(demo: Demo, environment: Mapping[str, str]) -> None:
    """One process a node; they need nothing of the portal."""
    for node in demo.options.node_names:
        demo.start(processes.simulator_process(demo.options, node, environment))


def start_agents(demo: Demo, environment: Mapping[str, str]) -> None:
    """When the state of the simulated GPUs is there. An agent waits by itself for a portal that is still starting."""
    options = demo.options
    for node in options.node_names:
        state = options.node_folder(node) / "nvml.state"
        demo.wait_for(state.exists, STATE_FILE_SECONDS, f"the simulated GPUs of {node}")
        demo.start(processes.agent_process(options, node, environment))


def prepare(demo: Demo, environment: Mapping[str, str]) -> None:
    """Tables, story, accounts, tokens; nothing where this code has prepared this database before."""
    options, database_url = demo.options, environment["DATABASE_URL"]
    if is_prepared(options, database_url):
        return
    say("tables, the story and its accounts")
    demo.run_once(processes.manage(options, environment, PREPARE, "--migrate", "--dir", str(options.folder)))
    mark_prepared(options, database_url)


def tell_strand(demo: Demo, environment: Mapping[str, str]) -> bool:
    """What the story says of awards and reservations, once, when nodes have joined; the demo goes on without it.

    False: they have not yet, so that it is to be tried again.
    """
    options, database_url = demo.options, environment["DATABASE_URL"]
    if options.node_count < FEWEST_NODES or has_strand(options, database_url):
        return True
    if nodes_joined(options.url) < FEWEST_NODES:
        return False
    say("a programme that is under way")
    try:
        demo.run_once(processes.manage(options, environment, PREPARE, "--strand", "--dir", str(options.folder)))
    except EmbeddedError as error:
        say(f"{error}; the next start tries again")
        return True
    mark_prepared(options, database_url, told=STRAND)
    return True


def tell_course(demo: Demo, environment: Mapping[str, str]) -> None:
    """What follows from idle GPUs, once: the command waits for their handover, and the greeting not for the command."""
    options, database_url = demo.options, environment["DATABASE_URL"]
    if not has_strand(options, database_url) or has_course(options, database_url):
        return
    try:
        demo.run_once(processes.manage(options, environment, PREPARE, "--course", "--dir", str(options.folder)))
    except EmbeddedError as error:
        say(f"{error}; the next start tries again")
        return
    mark_prepared(options, database_url, told=STRAND + COURSE)


def stay(demo: Demo, environment: Mapping[str, str], *, told: bool) -> NoReturn:
    """Until a signal asks for the end (Stopped). On a busy machine nodes join after the greeting: told of then."""
    again_at, rest = time.monotonic() + STRAND_SECONDS, True
    while True:
        demo.look()
        if told and rest:
            tell_course(demo, environment)
            rest = False
        if not told and time.monotonic() > again_at:
            told = tell_strand(demo, environment)
            again_at = time.monotonic() + STRAND_SECONDS


def wait_until(demo: Demo, answered: Callable[[], tuple[bool, str]]) -> None:
    """Until the answer is yes; says what it waits for when that takes long."""
    tell_at = time.monotonic() + SLOW_SECONDS
    while True:
        ready, words = answered()
        if ready:
            return
        if time.monotonic() > tell_at:
            say(f"still waiting: {' '.join(words.split())[:300]} (logs: {demo.options.folder / 'logs'})")
            tell_at += SLOW_SECONDS
        demo.look()


def wait_for_nodes(demo: Demo) -> None:
    """For as long as nodes take to join; one that an operator drained in an earlier run never does."""
    count = len(demo.options.node_names)
    until = time.monotonic() + JOIN_SECONDS
    while nodes_joined(demo.options.url) < count and time.monotonic() < until:
        demo.look()


def bring_up(demo: Demo, environment: Mapping[str, str]) -> bool:
    """Translations, simulated GPUs, tables and story, portal, agents; whether the whole story is told."""
    options = demo.options
    compile_if_stale()
    on_nodes = node_environment(redis_url=demo.services.redis_url)
    start_simulators(demo, on_nodes)
    prepare(demo, environment)
    say("web, worker, beat")
    for spec in processes.portal_processes(options, environment):
        demo.start(spec)
    wait_until(demo, lambda: ask(f"{options.url}/healthz"))  # before it, agents would only take the processor from it
    if options.node_names:
        say(f"nodes: {', '.join(options.node_names)}")
        start_agents(demo, on_nodes)
    wait_until(demo, lambda: ask(f"{options.url}/readyz"))
    wait_for_nodes(demo)
    return tell_strand(demo, environment)


def run(options: DemoOptions) -> None:
    """Everything, until a signal asks for the end. EmbeddedError: one line for a person."""
    began = time.monotonic()
    if os.environ.get("MAKELEVEL"):
        orphans.stop_with_parent()  # a killed `make` takes the demo with it
    orphans.adopt_orphans()
    with StopSignals() as signals, FolderLock(options.folder / "demo.lock", what="a demo"):
        if not is_free(options.port):
            raise EmbeddedError(f"port {options.port} is in use: stop what listens there or choose another, PORT=8001")
        prepare_folder(options)
        secrets = keep_secrets(options.folder / "secrets.json")
        say(f"PostgreSQL and Valkey in {options.folder}")
        try:
            with EmbeddedServices(options.folder) as services:
                demo = Demo(options, services, signals)
                environment = portal_environment(
                    options, secrets, database_url=services.database_url, redis_url=services.redis_url
                )
                try:
                    told = bring_up(demo, environment)
                    say(greeting(options, started_seconds=time.monotonic() - began))
                    stay(demo, environment, told=told)
                except Stopped:
                    say("stopping")
                finally:
                    demo.stop()
        finally:
            left = orphans.end_descendants(timeout_seconds=3.0)
            if left:
                print(f"ended what was left: {', '.join(left)}", file=sys.stderr)
    say("stopped")
