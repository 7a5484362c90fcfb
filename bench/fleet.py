"""What the fleet's screen costs: `python -m bench.fleet --devices 2500 --days 90`.

Through the pages' own addresses, on a fleet with a past (bench.history): now, one minute and one hour of the past, each
filter, a piece of the map, table, CSV, API and chart. To hold: 100 ms at 2,500 devices, 300 ms at 25,000 (bench.pages).
"""

import argparse
import itertools
import sys
from datetime import datetime

from bench.history import LOOKED_HOUR, LOOKED_MINUTE, Past, fill
from bench.page_queries import staff
from bench.pages import look
from bench.servers import django_on_servers

TURNS = 20


def addresses(now: datetime) -> dict[str, str]:
    """Of each view its address; of the past the minute and the hour that were filled."""
    from django.utils import timezone

    from allocations.models import Lease
    from cluster.models import Node

    minute, hour = (timezone.localtime(now - back).strftime("%Y-%m-%dT%H:%M") for back in (LOOKED_MINUTE, LOOKED_HOUR))
    nodes = list(Node.objects.order_by("pool__name", "name", "pk").values_list("public_id", flat=True)[:501:250])
    piece = f"first={nodes[1]}&before={nodes[2]}" if len(nodes) > 2 else ""
    lease = Lease.objects.filter(state="active").select_related("allocation__project__organisation").earliest("pk")
    organisation = lease.allocation.project.organisation.public_id
    return {
        "page": "/staff/",
        "live": "/staff/live/",
        "map": f"/staff/map/?{piece}",
        "map_minute": f"/staff/map/?metric=temperature&at={minute}&{piece}",
        "live_minute": f"/staff/live/?at={minute}",
        "live_hour": f"/staff/live/?at={hour}",
        "page_minute": f"/staff/?at={minute}",
        "live_pool": f"/staff/live/?pool={lease.allocation.pool.public_id}",
        "live_organisation": f"/staff/live/?organisation={organisation}",
        "table": "/staff/?sort=-power&page=3",
        "csv": "/staff/?format=csv",
        "api": "/api/v1/fleet/",
        **{f"chart_{key}": f"/staff/series.json?range={key}" for key in ("1h", "6h", "24h")},
    }


def fresh() -> None:
    """The newest samples as new as they are while nodes report: the past was written up to the moment it was begun."""
    from django.utils import timezone

    from telemetry.models import LatestSample

    LatestSample.objects.update(at=timezone.now())


def main() -> int:
    """Fill, then measure each view."""
    options = argparse.ArgumentParser()
    for name, default in (("devices", 2500), ("days", 90), ("turns", TURNS)):
        options.add_argument(f"--{name}", type=int, default=default)
    wanted = options.parse_args()
    with django_on_servers():
        from django.test import Client
        from django.utils import timezone

        now = timezone.now()
        fill(Past(devices=wanted.devices, days=wanted.days, shown=0, usage_days=1), now)
        client = Client()
        client.force_login(staff("operator"))
        for name, url in addresses(now).items():
            look(client, itertools.repeat(url), wanted.turns, fresh).tell(f"fleet.{name}", devices=wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
