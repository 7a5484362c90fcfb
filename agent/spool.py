"""Batches of samples that wait on disk for the portal: oldest first, bounded, what is given up is told."""

from __future__ import annotations

import gzip
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from agent.journal import Journal
from agent.options import boot_id
from agent.portal_client import PortalClient, PortalError, pack

log = logging.getLogger(__name__)
SEQUENCE = "sample_sequence"
FLUSH_BATCHES = 60  # a round: after an outage the backlog goes out in slices, the newest look is not late for it


class Spool:
    """Batches that wait on disk, oldest first; beyond the bound the oldest are dropped and counted."""

    def __init__(self, folder: Path, journal: Journal, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._journal, self._limit = folder, journal, limit
        self._catch_up()

    def put(self, samples: list[dict[str, Any]], host: dict[str, Any] | None = None) -> int:
        """Keep a batch, with what the machine did; its sequence, which never repeats and never goes back on this node.

        The number counts once the batch is on the disk: a kill in between leaves no number without a batch, which the
        portal would have to take for a loss.
        """
        sequence = int(self._journal.fact(SEQUENCE) or 0) + 1
        path = self._folder / f"{sequence:012d}.json.gz"
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            said = {"boot_id": boot_id(), "sequence": sequence, "samples": samples}
            file.write(pack(said if host is None else {**said, "host": host}))
            file.flush()
            os.fsync(file.fileno())  # the journal's number survives a power cut: its batch shall, too
        draft.replace(path)
        self._journal.count_up(SEQUENCE)
        waiting = self.waiting()
        for old in waiting[: max(0, len(waiting) - self._limit)]:
            self._drop(old)
        return sequence

    def _catch_up(self) -> None:
        """A batch that was kept and not counted: counted now, before anything is sent or its number is given again."""
        newest = max((int(path.name.split(".")[0]) for path in self.waiting()), default=0)
        behind = newest - int(self._journal.fact(SEQUENCE) or 0)
        if behind > 0:
            self._journal.count_up(SEQUENCE, behind)

    def waiting(self) -> list[Path]:
        """What has not gone out yet."""
        return sorted(self._folder.glob("*.json.gz"))

    def flush(self, portal: PortalClient) -> None:
        """Send what waits, oldest first; PortalError where the portal is away."""
        for path in self.waiting()[:FLUSH_BATCHES]:
            try:
                portal.samples(path.read_bytes())
            except PortalError as error:
                if not error.final:
                    raise
                log.warning("a batch was refused for good: %s", error)
                self._drop(path)
                continue
            path.unlink(missing_ok=True)
        self._tell_gap()

    def _drop(self, path: Path) -> None:
        """Give a batch up, and widen the gap that the portal will hear of."""
        moments = _moments(path)
        gap = json.loads(self._journal.fact("samples_gap") or '{"batches": 0, "samples": 0}')
        gap = {
            "batches": gap["batches"] + 1,
            "samples": gap["samples"] + len(moments),
            "from": min([*moments, *([gap["from"]] if gap.get("from") else [])], default=None),
            "until": max([*moments, *([gap["until"]] if gap.get("until") else [])], default=None),
        }
        self._journal.remember("samples_gap", json.dumps(gap))
        self._journal.count_up("samples_dropped")
        path.unlink(missing_ok=True)

    def _tell_gap(self) -> None:
        gap = self._journal.fact("samples_gap")
        if gap:
            detail = json.loads(gap)
            self._journal.add_event({"uuid": None, "kind": "samples_dropped", "detail": detail, "at": time.time()})
            self._journal.remember("samples_gap", "")


def _moments(path: Path) -> list[float]:
    try:
        samples = json.loads(gzip.decompress(path.read_bytes()))["samples"]
        return [float(sample["at"]) for sample in samples]
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # a batch cut short by a full disk
        return []
