"""Figures for Prometheus, counted when asked: of the portal, and of each device.

No label names a person, an organisation or a reservation, and none has more values than there are states, pools, nodes,
devices or tables: what a site pays for its series grows with its machines and with nothing else.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric

from portal.metrics import devices, machines, parts
from portal.metrics.access import may_read as may_read

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Asked:
    """A collector that asks once a scrape: a state that emptied reads 0, and nothing is stale."""

    def __init__(self, *questions: Callable[[], Iterator[Metric]]) -> None:
        self._questions = questions

    def collect(self) -> Iterator[Metric]:
        """Every family, one question after the other."""
        for question in self._questions:
            yield from question()

    def describe(self) -> list[Metric]:
        """Nothing is asked when the registry is made."""
        return []


def portal_text() -> bytes:
    """What `/metrics` says: the portal's parts and queues, leases by state, pools and nodes. Fixed statements."""
    return _text(parts.collect, machines.collect)


def device_text() -> bytes:
    """What `/metrics/devices` says: the newest figures of every device. Two statements."""
    return devices.text()


def _text(*questions: Callable[[], Iterator[Metric]]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Asked(*questions))
    return generate_latest(registry)
