"""The cache whose server may be away."""

from typing import Any

from django_redis.cache import RedisCache


class PatientCache(RedisCache):
    """With IGNORE_EXCEPTIONS django-redis answers None to add() while the server is away.

    Callers read that as "somebody else holds it": allauth's rate limit then waits for its lock, gives up and answers
    429, so that nobody could sign in. Here an add() that reached no server says True. Nothing but rate limits may
    rely on it: what must be exclusive is locked in PostgreSQL.
    """

    def add(self, *args: Any, **kwargs: Any) -> bool:
        added = super().add(*args, **kwargs)
        return True if added is None else bool(added)
