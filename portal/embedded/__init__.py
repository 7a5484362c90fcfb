"""PostgreSQL and Valkey as our own children: for trying and developing, no root and no container engine needed."""

from portal.embedded.errors import EmbeddedError
from portal.embedded.services import EmbeddedServices

__all__ = ["EmbeddedError", "EmbeddedServices"]
