"""The cache whose server may be away."""

from typing import Any

import redis
from django_redis.cache import RedisCache

from common.fuse import Fuse

FUSE = Fuse()


class PatientCache(RedisCache):
    """With IGNORE_EXCEPTIONS django-redis answers None to add() while the server is away.

    Callers read that as "somebody else holds it": allauth's rate limit then waits for its lock, gives up and answers
    429, so that nobody could sign in. Here an add() that reached no server says True. Nothing but rate limits may
    rely on it: what must be exclusive is locked in PostgreSQL.
    """

    def add(self, *args: Any, **kwargs: Any) -> bool:
        added = super().add(*args, **kwargs)
        return True if added is None else bool(added)


class _Fused:
    """A connection that asks nothing of a server that did not answer a moment ago."""

    def connect(self) -> None:
        self._guarded(super().connect)  # type: ignore[misc]

    def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        self._guarded(super().send_packed_command, *args, **kwargs)  # type: ignore[misc]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        return self._guarded(super().read_response, *args, **kwargs)  # type: ignore[misc]

    def _guarded(self, act: Any, *args: Any, **kwargs: Any) -> Any:
        if FUSE.blown:
            raise redis.ConnectionError("the server was away a moment ago")
        try:
            return act(*args, **kwargs)
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            FUSE.blow()
            raise


class FusedConnection(_Fused, redis.Connection):
    """redis:// with the fuse."""


class FusedSSLConnection(_Fused, redis.SSLConnection):
    """rediss:// with the fuse."""


class FusedUnixConnection(_Fused, redis.UnixDomainSocketConnection):
    """unix:// with the fuse."""


CONNECTIONS = {"redis": FusedConnection, "rediss": FusedSSLConnection, "unix": FusedUnixConnection}
"""By the scheme of REDIS_URL."""
