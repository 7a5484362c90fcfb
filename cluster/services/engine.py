"""Which engine runs a pool."""

from cluster.drivers.bare_metal import BareMetalDriver
from cluster.drivers.base import EngineDriver
from cluster.models import Pool
from cluster.services.outbox import DatabaseOutbox


def engine_for(pool: Pool) -> EngineDriver:
    """The driver of a pool's engine; its writes join the caller's transaction."""
    if pool.engine == Pool.Engine.BARE_METAL:
        return BareMetalDriver(DatabaseOutbox())
    raise ValueError(f"no driver for the engine {pool.engine!r}")
