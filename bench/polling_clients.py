"""The people of bench.polling: each looks at one page, whose parts ask for themselves as a browser would let them.

Which addresses those are and how often they are asked is read out of the page itself (htmx's `every`, the charts'
`data-chart-refresh`), so that a page that polls more is measured more. An answer that a browser keeps with its ETag is
asked for with it, and a chart is asked only when a step of it is over, as static/js/charts.js does it.
"""

import heapq
import html
import http.client
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

IDLE_SECONDS = 1.5
"""The server shuts a connection after two idle seconds; a browser that is told so opens another, as we do before."""
TRIES = 3
_TAG = re.compile(r"<[a-z]+ [^>]*(?:hx-trigger=\"every|data-chart-refresh)[^>]*>")
_ADDRESS = re.compile(r"(?:hx-get|data-chart-url)=\"([^\"]+)\"")
_SECONDS = re.compile(r"(?:hx-trigger=\"every |data-chart-refresh=\")(\d+)")


@dataclass(frozen=True)
class Viewer:
    """A signed-in person who looks at a page."""

    kind: str
    page: str
    cookie: str


@dataclass(frozen=True)
class Job:
    """For whom one process looks, and how long; `pause` off: nobody waits for the next turn."""

    port: int
    viewers: list[Viewer]
    seconds: float
    pause: bool = True


@dataclass
class Part:
    """An address that a page asks again and again. `step`: seconds after which a chart has something new."""

    kind: str
    address: str
    every: float
    step: float = 0.0
    etag: str = ""


@dataclass
class Seen:
    """What came back: milliseconds by kind of part, answers that were neither 200 nor 304, bytes."""

    took: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    unchanged: int = 0
    bytes: int = 0
    cpu: float = 0.0

    def add(self, other: "Seen") -> None:
        """Take in what another saw."""
        for kind, took in other.took.items():
            self.took.setdefault(kind, []).extend(took)
        self.failed += other.failed
        self.unchanged += other.unchanged
        self.bytes += other.bytes
        self.cpu += other.cpu

    @property
    def all(self) -> list[float]:
        """Milliseconds of every answer."""
        return [ms for took in self.took.values() for ms in took]


def look_all(job: Job, opened: Any, answers: Any) -> None:
    """Everybody opens their page, waits for the others, then looks until the time is over; sums go into the queue."""
    seen, used = [Seen() for _ in job.viewers], [0.0]

    def begin() -> None:
        used[0] = time.process_time()
        opened.set()

    ready = threading.Barrier(len(job.viewers), action=begin)
    threads = [
        threading.Thread(target=_look, args=(job, viewer, ready, mine))
        for viewer, mine in zip(job.viewers, seen, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Seen(cpu=time.process_time() - used[0])
    for mine in seen:
        whole.add(mine)
    answers.put(whole)


def parts_of(page: str, kind: str) -> Iterator[Part]:
    """What a page asks for by itself, as its HTML says."""
    for tag in _TAG.findall(page):
        address, seconds = _ADDRESS.search(tag), _SECONDS.search(tag)
        if address and seconds:
            name = "chart" if "data-chart-url" in tag else "live"
            yield Part(f"{kind}_{name}", html.unescape(address[1]), float(seconds[1]))


def _look(job: Job, viewer: Viewer, ready: threading.Barrier, seen: Seen) -> None:
    browser = _Browser(job.port, viewer.cookie)
    opened = Seen()
    page = browser.get(Part(f"{viewer.kind}_page", viewer.page, 0.0), opened)
    parts = list(parts_of(page.decode(), viewer.kind))
    seen.failed += opened.failed or ([] if parts else [f"{viewer.page} asks for nothing"])
    ready.wait()
    begin = time.monotonic()
    dues = [(begin + random.random() * part.every if job.pause else begin, place) for place, part in enumerate(parts)]
    heapq.heapify(dues)
    while dues:
        due, place = heapq.heappop(dues)
        if (due if job.pause else time.monotonic()) > begin + job.seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        part = parts[place]
        browser.get(part, seen)
        turns = max(1, -(-part.step // part.every)) if part.every else 1
        heapq.heappush(dues, (due + part.every * turns if job.pause else time.monotonic(), place))
    browser.close()


class _Browser:
    def __init__(self, port: int, cookie: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._cookie, self._used_at = cookie, 0.0

    def close(self) -> None:
        self._connection.close()

    def get(self, part: Part, seen: Seen) -> bytes:
        """One answer; again on a new connection where the old one was shut."""
        headers = {"Cookie": self._cookie, "Accept-Encoding": "gzip"} | (
            {"If-None-Match": part.etag} if part.etag else {}
        )
        for _try in range(TRIES):
            if time.monotonic() - self._used_at > IDLE_SECONDS:
                self._connection.close()
            begun = time.perf_counter()
            try:
                self._connection.request("GET", part.address, headers=headers)
                answer = self._connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                continue
            self._used_at = time.monotonic()
            seen.took.setdefault(part.kind, []).append((time.perf_counter() - begun) * 1000)
            self._keep(part, answer, body, seen)
            return body
        seen.failed.append(f"no answer {part.kind}")
        return b""

    def _keep(self, part: Part, answer: http.client.HTTPResponse, body: bytes, seen: Seen) -> None:
        seen.bytes += len(body)
        seen.unchanged += answer.status == 304
        if answer.status == 200:
            kept = "no-store" not in (answer.headers.get("Cache-Control") or "")
            part.etag = (answer.headers.get("ETag") or "") if kept else ""
            if part.kind.endswith("_chart"):
                part.step = float(json.loads(body).get("step_seconds") or 0)
        elif answer.status != 304:
            seen.failed.append(f"{answer.status} {part.kind}")
