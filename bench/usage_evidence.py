"""What the evidence of use costs: an hour decided and looked at again, a month closed, an organisation's year.

`python -m bench.usage_evidence --devices 25000 --days 90`, on a fleet with a past (bench.history). Pages are asked of
Django itself, without a web server.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bench.history import HOUR, Past, fill
from bench.pages import look
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

TURNS = 20


def timed(ask: Callable[[], Any], turns: int = TURNS) -> tuple[float, float, Any]:
    """The median and the 95th percentile of so many turns in seconds, and the last answer."""
    took, answer = [], None
    for _turn in range(turns):
        begun = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - begun)
    return percentile(took, 0.5), percentile(took, 0.95), answer


def jobs(devices: int) -> None:
    """The last whole hour, taken out and decided anew; the look at it afterwards; what is learned of idle power."""
    from django.db import connection
    from django.utils import timezone

    from allocations.models import UsageMark
    from allocations.services.usage import deciding, learning, revising

    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - HOUR
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE allocations_usagehour DISABLE TRIGGER append_only")
        cursor.execute("DELETE FROM allocations_usagehour WHERE hour >= %s", [hour])
        cursor.execute("ALTER TABLE allocations_usagehour ENABLE TRIGGER append_only")
        cursor.execute("ANALYZE allocations_usagehour")
    UsageMark.objects.update_or_create(name="decided", defaults={"done_until": hour})
    seconds, _p95, rows = timed(lambda: deciding.decide(hour + 2 * HOUR), turns=1)
    report("usage.decide_hour", round(seconds, 2), "s", devices=devices, rows=rows)
    seconds, _p95, made = timed(lambda: revising._revise_hour(hour), turns=1)
    report("usage.revise_hour", round(seconds, 2), "s", devices=devices, corrections=made)
    seconds, _p95, kinds = timed(lambda: learning.learn_idle_power(hour), turns=1)
    report("usage.learn_idle_power", round(seconds, 2), "s", devices=devices, kinds=kinds)


def months(devices: int, shown: int) -> None:
    """Last month closed for the organisations whose hours are all there, one after the other, and the proof of all
    statements. What all organisations take together is so many times that of one.
    """
    from django.utils import timezone

    from common.actors import RECONCILER
    from common.moments import agency_day
    from partners.models import Organisation
    from usage.services.statements import _close, verify

    month = (agency_day(timezone.now()).replace(day=1) - timedelta(days=1)).replace(day=1)
    held = Organisation.objects.filter(
        projects__allocations__leases__placements__device__in=_shown(shown)
    ).distinct()  # their hours are there
    keys = list(held.order_by("pk").values_list("pk", flat=True))
    took = []
    for key in keys:
        begun = time.perf_counter()
        _close(RECONCILER, key, month, timezone.now())
        took.append(1000 * (time.perf_counter() - begun))
    everybody, mean = Organisation.objects.count(), sum(took) / len(took)
    detail: dict[str, Any] = {
        "p50": round(percentile(took, 0.5), 1),
        "statements": len(keys),
        "organisations": everybody,
    }
    detail["organisations"], detail["seconds_for_all"] = everybody, round(mean * everybody / 1000, 1)
    report("usage.close_statement", round(percentile(took, 0.95), 1), "ms", devices=devices, **detail)
    seconds, _p95, faults = timed(lambda: list(verify()), turns=1)
    report("usage.verify_statements", round(seconds, 2), "s", devices=devices, statements=len(keys), faults=len(faults))


def _shown(shown: int) -> Any:
    from cluster.models import Device

    return Device.objects.order_by("pk").values("pk")[:shown]


def pages(devices: int) -> None:
    """An organisation's year for itself, everybody's for an officer, a statement, a lease's minutes."""
    from django.test import Client
    from django.utils import timezone

    from accounts.models import User
    from allocations.models import Lease
    from bench.page_queries import staff
    from usage.models import Statement

    largest = Lease.objects.filter(state="active").select_related("allocation__project").earliest("pk")
    officer = staff("officer")
    organisation = largest.allocation.project.organisation
    partner = User.objects.filter(memberships__organisation=organisation).first()
    statement = Statement.objects.filter(organisation=organisation).first()
    year = f"since={timezone.now() - timedelta(days=365):%Y-%m-%d}"
    asked = [
        ("organisation_year", partner, f"/usage/?{year}"),
        ("fleet_year", officer, f"/usage/?by=organisation&{year}"),
        ("figures_year", partner, f"/organisations/{organisation.public_id}/figures/?{year}"),
        ("programme_year", officer, f"/staff/programme/?{year}"),
        ("lease_minutes", partner, f"/leases/{largest.public_id}/usage/"),
    ]
    if statement:
        asked.append(("statement", partner, statement.get_absolute_url()))
        asked.append(("statement_csv", partner, statement.get_absolute_url() + "?format=csv"))
    for name, reader, url in asked:
        client = Client()
        client.force_login(reader)
        look(client, itertools.repeat(url), TURNS).tell(f"usage.page.{name}", devices=devices)


def main() -> int:
    """Fill servers that live as long as this process, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--devices", type=int, default=2500)
    options.add_argument("--days", type=int, default=90)
    wanted = options.parse_args()
    with django_on_servers():
        fill(Past(devices=wanted.devices, days=wanted.days))
        jobs(wanted.devices)
        months(wanted.devices, Past.shown)
        pages(wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
