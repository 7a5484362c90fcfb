"""The nodes of bench.ingest: threads that each speak for some nodes, at the moments at which their agents would."""

import gzip
import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

THREADS = 8
TRIES = 3


@dataclass(frozen=True)
class Job:
    """For whom one process speaks; `period` 0: as fast as it goes."""

    port: int
    nodes: list[tuple[str, list[str]]]
    period: float
    wanted: Any


@dataclass
class Sent:
    """Rows sent, milliseconds of each batch, batches that the portal did not take, processor seconds, and how late the
    sender itself was at worst.
    """

    rows: int = 0
    took: list[float] = field(default_factory=list)
    failed: int = 0
    cpu: float = 0.0
    late: float = 0.0


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
    answers.put(
        Sent(
            rows=sum(each.rows for each in results),
            took=[ms for each in results for ms in each.took],
            failed=sum(each.failed for each in results),
            cpu=time.process_time(),
            late=max(each.late for each in results),
        )
    )


def _speak(job: Job, nodes: list[tuple[str, list[str]]], begin: float, sent: Sent) -> None:
    """One node after the other, each at its own moment of a period, round after round."""
    if not nodes:
        return
    connection = http.client.HTTPConnection("127.0.0.1", job.port, timeout=60)
    step = job.period * job.wanted.rounds
    turn = 0
    while True:
        for place, (token, uuids) in enumerate(nodes):
            due = begin + step * (turn + place / len(nodes))
            now = time.time()
            if (due if job.period else now) > begin + job.wanted.seconds:
                connection.close()
                return
            if due > now:
                time.sleep(due - now)
            else:
                sent.late = max(sent.late, now - due) if job.period else 0.0
            at = (
                due if job.period else begin + 0.5 * turn
            )  # a flood tells half seconds, so that none is one that is there
            post(connection, token, _body(uuids, at, turn, job), sent)
            sent.rows += len(uuids) * job.wanted.rounds
        turn += 1


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


def post(connection: http.client.HTTPConnection, token: str, body: bytes, sent: Sent) -> None:
    """One batch; again on a new connection where the old one was shut."""
    headers = {"Authorization": f"Node {token}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    begun = time.perf_counter()
    for _try in range(TRIES):  # the server shuts a connection that was idle for two seconds: what a client opens anew
        try:
            connection.request("POST", "/api/node/v1/samples/", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            continue
        sent.took.append((time.perf_counter() - begun) * 1000)
        sent.failed += answer.status != 202
        return
    sent.failed += 1
