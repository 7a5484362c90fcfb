"""The shape of an award: what the officer gives on one request line."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cluster.models import Pool
from common.moments import agency_day
from proposals.asks import AskLine
from proposals.models import RequestLine


@dataclass(frozen=True)
class LineOnPool(AskLine):
    """A line whose pool (public id) is known."""

    pool: str = ""


@dataclass(frozen=True)
class AwardAsk:
    """What the officer gives on one request line. `gpu_seconds` are device-seconds; the window's end is exclusive.

    `guaranteed_gpus` of its GPUs are held at every moment of the window; None: as many as it needs on average, as far
    as they can be had, and none in a pool that lends whole nodes.
    """

    request_line: RequestLine
    pool: Pool
    gpus: int
    gpu_seconds: int
    window_from: datetime
    window_until: datetime
    guaranteed_gpus: int | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """What a line of an award keeps of it, prepared or given; what is guaranteed differs between the two."""
        kept = ("pool", "gpus", "gpu_seconds", "window_from", "window_until")
        return {"request": self.request_line, **{name: getattr(self, name) for name in kept}}

    @property
    def logged(self) -> dict[str, Any]:
        """The same for the audit log."""
        named = {"line": self.request_line.pk, "pool": self.pool.name, "guaranteed_gpus": self.guaranteed_gpus}
        figures = ("gpus", "gpu_seconds", "window_from", "window_until")
        return {**named, **{name: getattr(self, name) for name in figures}}

    @property
    def as_line(self) -> LineOnPool:
        """The same in the shape that the ceilings are asked about."""
        return LineOnPool(
            gpu_class=self.pool.gpu_class.code,
            gpus=self.gpus,
            smallest_gpus=1,
            hours=0,
            window_from=agency_day(self.window_from),
            window_until=agency_day(self.window_until - timedelta(microseconds=1)),
            pool=self.pool.public_id,
        )

    @property
    def average_gpus(self) -> int:
        """GPUs at every moment when all its hours are used evenly, rounded up: what it needs on average."""
        seconds = max(1, int((self.window_until - self.window_from).total_seconds()))
        return min(self.gpus, -(-self.gpu_seconds // seconds))
