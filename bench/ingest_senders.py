"""The nodes of bench.ingest: threads that each speak for some nodes, at the moments at which their agents would.

What is refused waits and is sent again at the node's next turn, oldest first, as agent/spool.py does it.
"""

import gzip
import http.client
import json
import random
import select
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from agent.portal_client import FINAL_STATUS
from agent.spool import FLUSH_BATCHES

THREADS = 8
LAST_TURNS = 6
"""When the time is over, what still waits is sent so many times more."""
LAST_SECONDS = 2.0
SAID = 160
"""So many characters of a refusal are kept."""


@dataclass(frozen=True)
class Job:
    """For whom one process speaks; `period` 0: as fast as it goes."""

    port: int
    nodes: list[tuple[str, list[str]]]
    period: float
    wanted: Any


@dataclass
class Sent:
    """Rows made, milliseconds of each batch that was answered, refusals by what was said, batches given up because it
    was said for good, batches that nobody took to the end, processor seconds, and how late the sender itself was at
    worst.
    """

    rows: int = 0
    took: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    left: int = 0
    cpu: float = 0.0
    late: float = 0.0


@dataclass
class Node:
    """One that speaks, and its batches that nobody has taken yet."""

    token: str
    uuids: list[str]
    waiting: deque[bytes] = field(default_factory=deque)


def send_all(job: Job, answers: Any) -> None:
    """Until the time is over; the sums of all threads go into the queue."""
    results = [Sent() for _ in range(THREADS)]
    begin = time.time()
    threads = [
        threading.Thread(target=_speak, args=(job, job.nodes[n::THREADS], begin, results[n])) for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = together(results)
    whole.cpu = time.process_time()
    answers.put(whole)


def together(parts: list[Sent]) -> Sent:
    """The sums of several."""
    return Sent(
        rows=sum(each.rows for each in parts),
        took=[ms for each in parts for ms in each.took],
        refused=sum((each.refused for each in parts), Counter()),
        given_up=sum(each.given_up for each in parts),
        left=sum(each.left for each in parts),
        cpu=sum(each.cpu for each in parts),
        late=max((each.late for each in parts), default=0.0),
    )


def _speak(job: Job, nodes: list[tuple[str, list[str]]], begin: float, sent: Sent) -> None:
    """One node after the other, each at its own moment of a period, round after round."""
    connection = http.client.HTTPConnection("127.0.0.1", job.port, timeout=60)
    speakers = [Node(*each) for each in nodes]
    turn = 0
    while speakers and _turn(job, speakers, begin, turn, connection, sent):
        turn += 1
    for _again in range(LAST_TURNS):
        behind = [node for node in speakers if node.waiting]
        for node in behind:
            flush(connection, node, sent)
        if not any(node.waiting for node in behind):
            break
        time.sleep(LAST_SECONDS)
    sent.left = sum(len(node.waiting) for node in speakers)
    connection.close()


def _turn(
    job: Job, speakers: list[Node], begin: float, turn: int, connection: http.client.HTTPConnection, sent: Sent
) -> bool:
    """Each node says what it has seen; False when the time is over."""
    step = job.period * job.wanted.rounds
    for place, node in enumerate(speakers):
        due = begin + step * (turn + place / len(speakers))
        now = time.time()
        if (due if job.period else now) > begin + job.wanted.seconds:
            return False
        if due > now:
            time.sleep(due - now)
        else:
            sent.late = max(sent.late, now - due) if job.period else 0.0
        # a flood tells half seconds, so that none is one that is there
        node.waiting.append(_body(node.uuids, due if job.period else begin + 0.5 * turn, turn, job))
        sent.rows += len(node.uuids) * job.wanted.rounds
        flush(connection, node, sent)
    return True


def flush(connection: http.client.HTTPConnection, node: Node, sent: Sent) -> None:
    """What waits, oldest first; what is refused for good is given up, at any other refusal all waits for the next
    turn.
    """
    for _batch in range(min(len(node.waiting), FLUSH_BATCHES)):
        status, said = _post(connection, node.token, node.waiting[0], sent)
        if status != 202:
            sent.refused[f"{status} {said}"] += 1
            if status not in FINAL_STATUS:
                return
            sent.given_up += 1
        node.waiting.popleft()


def _post(connection: http.client.HTTPConnection, token: str, body: bytes, sent: Sent) -> tuple[int, str]:
    """One batch: its status and, unless it was taken, what was said; 0 where there was no answer."""
    headers = {"Authorization": f"Node {token}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    begun = time.perf_counter()
    if connection.sock and select.select([connection.sock], [], [], 0)[0]:
        connection.close()  # the server has shut one that was idle for two seconds: httpx looks for that, too
    try:
        connection.request("POST", "/api/node/v1/samples/", body, headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return 0, f"{type(error).__name__} {error}"[:SAID]
    sent.took.append((time.perf_counter() - begun) * 1000)
    return answer.status, "" if answer.status == 202 else said.decode(errors="replace")[:SAID]


def _body(uuids: list[str], at: float, turn: int, job: Job) -> bytes:
    looks = [at - job.period * back if job.period else at - 0.1 for back in range(job.wanted.rounds)]
    samples = [_sample(uuid, moment, place) for moment in reversed(looks) for place, uuid in enumerate(uuids)]
    boot = "flood" if job.wanted.ahead else "bench"
    return gzip.compress(json.dumps({"boot_id": boot, "sequence": turn, "samples": samples}).encode(), 1)


def _sample(uuid: str, at: float, place: int) -> dict[str, Any]:
    busy = place % 4 != 0
    return {
        "uuid": uuid,
        "at": round(at, 3),
        "utilisation_percent": random.randrange(60, 100) if busy else 0,
        "sm_active_percent": round(random.uniform(20, 90), 1) if busy else 0.0,
        "tensor_active_percent": round(random.uniform(0, 60), 1) if busy else 0.0,
        "memory_used_mib": 60_000 + random.randrange(1000),
        "power_watts": round(random.uniform(300, 700), 1) if busy else 72.0,
        "energy_mj": int((at - 1_600_000_000) * 400_000),
        "temperature_c": random.randrange(40, 75),
        "process_count": 1,
        "processes": [{"pid": 1000 + place, "name": "python", "memory_mib": 60_000, "user": "bg-1"}],
    }
