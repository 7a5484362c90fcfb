"""What the node must not forget, in SQLite: commands and their answers, leases and their hard ends, keys, events.

Several processes share it (WAL); each call opens a connection of its own, so that nothing crosses a fork or a thread.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, lease TEXT NOT NULL, generation INTEGER NOT NULL, verb TEXT NOT NULL,
    started_at REAL NOT NULL, outcome TEXT, result TEXT, reported INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS leases (
    lease TEXT PRIMARY KEY, generation INTEGER NOT NULL, phase TEXT NOT NULL DEFAULT 'known',
    login TEXT NOT NULL DEFAULT '', device_uuids TEXT NOT NULL DEFAULT '[]', hard_end REAL, granted_at REAL,
    ended_at REAL, killed INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 1, baseline TEXT,
    leaving TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""
OPEN_PHASES = ("opening", "granted", "closing")
"""known > opening > granted > closing > revoked. Only `granted` lets anybody in; all three have a hard end to watch."""
KEEP_SECONDS = 30 * 86_400
MAX_EVENTS = 5_000


@dataclass(frozen=True)
class LocalLease:
    """A lease as this node knows it. Times are epoch seconds; `told`: the portal knows how it ended.

    `leaving`: devices that it gave up on the way, and when its access to each was gone; None: not yet.
    """

    lease: str
    generation: int
    phase: str
    login: str
    device_uuids: tuple[str, ...]
    hard_end: float | None
    granted_at: float | None
    ended_at: float | None
    killed: int
    told: bool
    leaving: Mapping[str, float | None] = field(default_factory=dict, hash=False)

    @property
    def held(self) -> tuple[str, ...]:
        """The devices that nobody else may have: its own, and those that it has not quite given up."""
        return (*self.device_uuids, *(uuid for uuid, gone_at in self.leaving.items() if gone_at is None))


@dataclass(frozen=True)
class CommandRecord:
    """A command that was begun; `outcome` is None until it was answered."""

    id: str
    lease: str
    generation: int
    verb: str
    outcome: str | None
    result: dict[str, Any]
    reported: bool


class Journal:
    """The file state/journal.sqlite."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.path = folder / "journal.sqlite"
        with self._connection() as connection:
            connection.executescript(SCHEMA)

    def connect(self) -> sqlite3.Connection:
        """A connection that waits for others' writes. The caller closes it."""
        connection = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a hard end that was promised must survive a power cut
        return connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(self.connect()) as connection:
            yield connection

    def _write(self, sql: str, *values: Any) -> int:
        with self._connection() as connection:
            return connection.execute(sql, values).rowcount

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._connection() as connection:
            return connection.execute(sql, values).fetchall()

    def fact(self, name: str) -> str | None:
        """A remembered word: node, signing_key, ssh_ca, ..."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", name)
        return rows[0]["value"] if rows else None

    def remember(self, name: str, value: str) -> None:
        """Keep a word, over an older one."""
        self._write("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", name, value)

    def pin(self, name: str, value: str) -> bool:
        """Keep a word for ever; False where another one is pinned already, which stays."""
        self._write("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", name, value)
        return self.fact(name) == value

    def count_up(self, name: str, by: int = 1) -> int:
        """Add to a number that never goes back; the new value."""
        rows = self._rows(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + ? "
            "RETURNING value",
            name,
            by,
            by,
        )
        return int(rows[0]["value"])

    def command(self, command_id: str) -> CommandRecord | None:
        """A command that was begun here before."""
        rows = self._rows("SELECT * FROM commands WHERE id = ?", command_id)
        return _record(rows[0]) if rows else None

    def unreported(self) -> list[CommandRecord]:
        """Answers that the portal has not taken yet, oldest first."""
        sql = "SELECT * FROM commands WHERE outcome IS NOT NULL AND NOT reported ORDER BY started_at LIMIT 50"
        return [_record(row) for row in self._rows(sql)]

    def told_answers(self, lease: str, verb: str) -> list[dict[str, Any]]:
        """The results of a lease's commands of one verb that the portal has taken."""
        sql = "SELECT result FROM commands WHERE lease = ? AND verb = ? AND outcome IS NOT NULL AND reported"
        return [json.loads(row["result"] or "{}") for row in self._rows(sql, lease, verb)]

    def begin(self, command_id: str, lease: str, generation: int, verb: str) -> None:
        """Note that a command is being worked on, and its generation as the lease's highest."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO commands (id, lease, generation, verb, started_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (command_id, lease, generation, verb, time.time()),
            )
            connection.execute(
                "INSERT INTO leases (lease, generation) VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET generation = max(generation, excluded.generation)",
                (lease, generation),
            )
            connection.execute("COMMIT")

    def finish(
        self, command_id: str, lease: str, generation: int, verb: str, answer: tuple[str, dict[str, Any]]
    ) -> None:
        """Keep the answer to a command; one that is there already stays."""
        self._write(
            "INSERT INTO commands (id, lease, generation, verb, started_at, outcome, result) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET outcome = excluded.outcome, "
            "result = excluded.result WHERE commands.outcome IS NULL",
            *(command_id, lease, generation, verb, time.time(), answer[0], json.dumps(answer[1])),
        )

    def reported(self, command_id: str) -> None:
        """The portal has taken (or finally refused) the answer."""
        self._write("UPDATE commands SET reported = 1 WHERE id = ?", command_id)

    def lease(self, lease: str) -> LocalLease | None:
        """One lease."""
        rows = self._rows("SELECT * FROM leases WHERE lease = ?", lease)
        return _lease(rows[0]) if rows else None

    def open_leases(self) -> list[LocalLease]:
        """Leases whose hard end must be watched."""
        return [_lease(row) for row in self._rows("SELECT * FROM leases WHERE phase IN (?, ?, ?)", *OPEN_PHASES)]

    def ended_leases(self, *, since: float | None) -> list[LocalLease]:
        """Leases that ended after `since`; with None, those of which the portal does not know it yet."""
        sql = "SELECT * FROM leases WHERE phase = 'revoked' AND (ended_at > ? OR NOT told) ORDER BY ended_at LIMIT 500"
        return [_lease(row) for row in self._rows(sql, time.time() if since is None else since)]

    def change_lease(self, lease: str, **values: Any) -> None:
        """Set columns of a lease's row; `device_uuids` as a sequence, `leaving` as a mapping."""
        if "device_uuids" in values:
            values["device_uuids"] = json.dumps(list(values["device_uuids"]))
        if "leaving" in values:
            values["leaving"] = json.dumps(dict(values["leaving"]))
        names = ", ".join(f"{name} = ?" for name in values)
        self._write(f"UPDATE leases SET {names} WHERE lease = ?", *values.values(), lease)  # noqa: S608  # our own names

    def baseline(self, lease: str) -> dict[str, dict[str, Any]]:
        """The readings that were taken before the handover, by UUID."""
        rows = self._rows("SELECT baseline FROM leases WHERE lease = ?", lease)
        found: dict[str, dict[str, Any]] = json.loads(rows[0]["baseline"] or "{}") if rows else {}
        return found

    def granted_login(self, login: str) -> LocalLease | None:
        """The lease that a login is let in for now, if any."""
        sql = "SELECT * FROM leases WHERE phase = 'granted' AND login = ? AND hard_end > ?"
        rows = self._rows(sql, login, time.time())
        return _lease(rows[0]) if rows else None

    def add_event(self, event: dict[str, Any]) -> None:
        """Keep an event until the portal has it; beyond the limit the oldest go."""
        self._write("INSERT INTO events (body) VALUES (?)", json.dumps(event))
        self._write("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", MAX_EVENTS)

    def events(self, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """The oldest events, with their ids."""
        rows = self._rows("SELECT * FROM events ORDER BY id LIMIT ?", limit)
        return [(row["id"], json.loads(row["body"])) for row in rows]

    def drop_events(self, up_to: int) -> None:
        """Forget events that the portal has."""
        self._write("DELETE FROM events WHERE id <= ?", up_to)

    def tidy(self) -> None:
        """Forget what was answered, and ended, a month ago."""
        before = time.time() - KEEP_SECONDS
        self._write("DELETE FROM commands WHERE reported AND started_at < ?", before)
        self._write("DELETE FROM leases WHERE phase = 'revoked' AND told AND ended_at < ?", before)


def _record(row: sqlite3.Row) -> CommandRecord:
    return CommandRecord(
        id=row["id"],
        lease=row["lease"],
        generation=row["generation"],
        verb=row["verb"],
        outcome=row["outcome"],
        result=json.loads(row["result"] or "{}"),
        reported=bool(row["reported"]),
    )


def _lease(row: sqlite3.Row) -> LocalLease:
    return LocalLease(
        lease=row["lease"],
        generation=row["generation"],
        phase=row["phase"],
        login=row["login"],
        device_uuids=tuple(json.loads(row["device_uuids"])),
        hard_end=row["hard_end"],
        granted_at=row["granted_at"],
        ended_at=row["ended_at"],
        killed=row["killed"],
        told=bool(row["told"]),
        leaving=json.loads(row["leaving"]),
    )
