"""Is the database already migrated and seeded by this very code? Then a second start need not load Django twice for it.

The answer stands in the database itself, as its comment: it comes and goes with the data.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql

from portal.demo.options import REPOSITORY, DemoOptions

MARK = "bitgoeul demo "
STRAND = " and its strand"
COURSE = " and its course"
TIMEOUT_SECONDS = 5


def _sources() -> Iterator[Path]:
    """Whatever decides what migrating and seeding write."""
    yield REPOSITORY / "requirements.txt"
    yield REPOSITORY / "portal" / "management" / "commands" / "seed_demo.py"
    yield from sorted((REPOSITORY / "portal" / "seeding").glob("*.py"))
    yield from sorted(REPOSITORY.glob("*/migrations/*.py"))


def fingerprint(options: DemoOptions) -> str:
    """Of the code that prepares, and of the nodes that are asked for."""
    digest = hashlib.sha256(" ".join(options.node_names).encode())
    for path in _sources():
        digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return MARK + digest.hexdigest()


def _connection(database_url: str) -> "closing[psycopg2.extensions.connection]":
    return closing(psycopg2.connect(database_url, connect_timeout=TIMEOUT_SECONDS))


def is_prepared(options: DemoOptions, database_url: str) -> bool:
    """True if nothing is left to do: same code, same nodes, accounts and tokens still there."""
    files = [options.folder / "accounts.json", *(options.node_folder(node) / "token" for node in options.node_names)]
    if not all(path.exists() for path in files):
        return False
    mark = fingerprint(options)
    return _mark_in(database_url).startswith(mark)


def has_strand(options: DemoOptions, database_url: str) -> bool:
    """True if the part of the story that needs the nodes' GPUs is told, too."""
    return _mark_in(database_url).startswith(fingerprint(options) + STRAND)


def has_course(options: DemoOptions, database_url: str) -> bool:
    """True if the part that needs GPUs which were handed over is told, too: the story is whole."""
    return _mark_in(database_url) == fingerprint(options) + STRAND + COURSE


def _mark_in(database_url: str) -> str:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    try:
        with _connection(database_url) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
    except psycopg2.Error:
        return ""  # the commands that follow say better what is wrong
    return (row and row[0]) or ""


def mark_prepared(options: DemoOptions, database_url: str, *, told: str = "") -> None:
    """Remember it, and what more is `told`. A server of somebody else's may refuse: the next start prepares again."""
    try:
        with _connection(database_url) as connection, connection, connection.cursor() as cursor:
            name = sql.Identifier(connection.info.dbname)
            mark = fingerprint(options) + told
            cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS %s").format(name), [mark])
    except psycopg2.Error:
        return
