"""The embedded servers: killed in every way, they come back with every committed row and leave nothing behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from portal.embedded import EmbeddedError, EmbeddedServices
from portal.embedded.account import Account, account_to_drop_to, first_closed_folder, require_open_way
from tests.folders import open_folder

PATIENCE_SECONDS = 30.0
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' user can reach (pytest's tmp_path is closed to others)."""
    with open_folder("bitgoeul-embedded-") as path:
        yield path
        left = processes_of(path)
        assert left == [], f"left behind: {left}"


def processes_of(folder: Path) -> list[psutil.Process]:
    """Living processes that work in `folder` or name it in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            if str(folder) in " ".join([*process.cmdline(), process.cwd()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    assert alive == []


def write_row(url: str, value: int) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        cursor.execute("INSERT INTO kept VALUES (%s)", [value])
    connection.close()


def rows(url: str) -> list[int]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM kept ORDER BY value")
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


def tend_until_restarted(services: EmbeddedServices, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while name not in services.tend():
        assert time.monotonic() < deadline, f"{name} was not started again"
        time.sleep(0.02)


def start_supervisor(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    """`python -m portal.embedded run`, and the two URLs that it printed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.embedded", "run", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    found = [re.fullmatch(r"export (\w+)=(.+)\n", line) for line in lines]
    assert found[0] and found[1], lines
    assert (found[0][1], found[1][1]) == ("DATABASE_URL", "REDIS_URL")
    return process, found[0][2], found[1][2]


def test_a_second_start_gives_the_same_urls_and_the_same_data(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        first = (services.database_url, services.redis_url)
        write_row(services.database_url, 1)
    with EmbeddedServices(folder, environment={}) as services:
        assert (services.database_url, services.redis_url) == first
        assert rows(services.database_url) == [1]


def test_both_servers_want_their_password_and_listen_on_loopback_alone(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(re.sub(r":[^:@/]+@", ":wrong@", services.database_url))
        with (
            pytest.raises(redis.AuthenticationError),
            redis.Redis.from_url(re.sub(r":[^:@/]+@", "@", services.redis_url)) as client,
        ):
            client.ping()
        addresses = {
            connection.laddr.ip
            for process in processes_of(folder)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}
        assert (folder / "embedded.json").stat().st_mode & 0o777 == 0o600


def test_cluster_has_checksums_and_the_extension_that_forbids_overlaps(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        connection = psycopg2.connect(services.database_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SHOW data_checksums")
            assert cursor.fetchone() == ("on",)
            cursor.execute("SHOW password_encryption")
            assert cursor.fetchone() == ("scram-sha-256",)
            cursor.execute("CREATE EXTENSION btree_gist")
        connection.close()


def test_a_killed_postmaster_comes_back_with_every_committed_row(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        assert services.postgres is not None and services.postgres.child is not None
        for value in range(3):
            write_row(services.database_url, value)
            process = services.postgres.child.process
            assert process is not None
            process.kill()
            tend_until_restarted(services, "postgres")
        assert rows(services.database_url) == [0, 1, 2]


def test_a_killed_valkey_comes_back_with_its_keys(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        assert services.valkey is not None and services.valkey.child is not None
        with redis.Redis.from_url(services.redis_url) as client:
            for number in range(500):
                client.set(f"key:{number}", number)
        process = services.valkey.child.process
        assert process is not None
        process.kill()
        tend_until_restarted(services, "valkey")
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.dbsize() == 500


def test_servers_die_with_a_killed_supervisor_and_the_next_one_finds_the_rows(folder: Path) -> None:
    supervisor, database_url, redis_url = start_supervisor(folder)
    write_row(database_url, 7)
    with redis.Redis.from_url(redis_url) as client:
        client.set("kept", "yes")
    servers = [p for p in processes_of(folder) if p.pid != supervisor.pid]
    assert len(servers) > 2
    supervisor.kill()
    supervisor.wait()
    wait_until_gone(servers)
    again, database_url, redis_url = start_supervisor(folder)
    try:
        assert rows(database_url) == [7]
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            assert client.get("kept") == "yes"
    finally:
        again.terminate()
        assert again.wait(PATIENCE_SECONDS) == 0


def test_a_start_right_after_the_kill_of_the_supervisor_waits_for_the_dying_servers(folder: Path) -> None:
    supervisor, database_url, _ = start_supervisor(folder)
    write_row(database_url, 8)
    supervisor.kill()
    supervisor.wait()
    with EmbeddedServices(folder, environment={}) as services:
        assert rows(services.database_url) == [8]


def test_everything_killed_at_once_is_recovered(folder: Path) -> None:
    supervisor, database_url, _ = start_supervisor(folder)
    write_row(database_url, 9)
    doomed = processes_of(folder)
    # A worker of the database that ends by itself meanwhile is as gone as a killed one.
    for blow in (psutil.Process.suspend, psutil.Process.kill):
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                blow(process)
    supervisor.wait()
    with EmbeddedServices(folder, environment={}) as services:
        assert rows(services.database_url) == [9]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_supervisor_leaves_no_process(folder: Path, stop: signal.Signals) -> None:
    supervisor, _, _ = start_supervisor(folder)
    started = processes_of(folder)
    supervisor.send_signal(stop)
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    wait_until_gone(started)


def test_a_second_supervisor_is_refused_and_told_who_runs(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        with pytest.raises(EmbeddedError, match=rf"already running \(process {os.getpid()}\)"):
            EmbeddedServices(folder, environment={}).__enter__()
        write_row(services.database_url, 1)
        assert rows(services.database_url) == [1]


def test_a_stale_pid_file_with_a_number_in_use_elsewhere_is_no_hindrance(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}) as services:
        write_row(services.database_url, 4)
        pid_file = folder / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    account = account_to_drop_to(folder / "postgres")
    bystander = subprocess.Popen(["sleep", "60"], cwd="/", user=account.uid if account else None)
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        with EmbeddedServices(folder, environment={}) as services:
            assert rows(services.database_url) == [4]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_urls_of_the_environment_win_and_nothing_is_started(folder: Path) -> None:
    given = {"DATABASE_URL": "postgres://a:b@db.example/c", "REDIS_URL": "redis://cache.example/1"}
    with EmbeddedServices(folder, environment=given) as services:
        assert (services.database_url, services.redis_url) == (given["DATABASE_URL"], given["REDIS_URL"])
        assert processes_of(folder) == []


def test_a_lost_password_file_is_named(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}):
        pass
    (folder / "embedded.json").unlink()
    with pytest.raises(EmbeddedError, match=r"embedded\.json"):
        EmbeddedServices(folder, environment={}).__enter__()


def test_a_folder_that_the_servers_user_cannot_enter_is_named_with_the_remedy(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    stranger = Account("stranger", uid=os.getuid() + 54321, gid=os.getgid() + 54321)
    assert first_closed_folder(closed / "data", stranger) == closed.resolve()
    with pytest.raises(EmbeddedError, match=rf"stranger, who cannot enter {closed}.*chmod o\+x"):
        require_open_way(closed / "data", stranger)


def test_command_line_reports_a_second_supervisor_in_one_line(folder: Path) -> None:
    with EmbeddedServices(folder, environment={}):
        done = subprocess.run(
            [sys.executable, "-m", "portal.embedded", "run", str(folder)],
            check=False,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
        )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and "already running" in done.stderr
