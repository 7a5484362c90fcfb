"""What the evidence of use costs: an hour decided and looked at again, a month closed, an organisation's year.

`python -m bench.usage_evidence --devices 25000 --days 90`, on a fleet with a past (bench.history). Pages are asked of
Django itself, without a web server.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bench.history import HOUR, Past, fill
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


def months(devices: int) -> None:
    """Last month closed for every organisation, and the proof of all statements."""
    from django.utils import timezone

    from common.actors import RECONCILER
    from common.moments import agency_day
    from usage.services.statements import close_month, verify

    month = (agency_day(timezone.now()).replace(day=1) - timedelta(days=1)).replace(day=1)
    seconds, _p95, made = timed(lambda: close_month(actor=RECONCILER, month=month, now=timezone.now()), turns=1)
    each = round(1000 * seconds / made, 1) if made else None
    report("usage.close_month", round(seconds, 2), "s", devices=devices, statements=made, ms_each=each)
    seconds, _p95, faults = timed(lambda: list(verify()), turns=1)
    report("usage.verify_statements", round(seconds, 2), "s", devices=devices, statements=made, faults=len(faults))


def pages(devices: int) -> None:
    """An organisation's year for itself, everybody's for an officer, a statement, a lease's minutes."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from accounts.models import User
    from allocations.models import Lease
    from bench.page_queries import staff
    from usage.models import Statement

    largest = Lease.objects.filter(state="active").select_related("allocation__project").first()
    assert largest is not None
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
    for name, reader, url in asked:
        client = Client()
        client.force_login(reader)
        with CaptureQueriesContext(
            connection,
        ) as asked_for:
            answer = client.get(url)
        if answer.status_code != 200:
            raise SystemExit(f"{url}: {answer.status_code} {answer.headers.get('Location', '')}")
        p50, p95, _answer = timed(lambda client=client, url=url: client.get(url))  # type: ignore[misc]
        detail: dict[str, Any] = {"devices": devices, "p95_ms": round(1000 * p95, 1), "queries": len(asked_for)}
        report(f"usage.page.{name}", round(1000 * p50, 1), "ms", **detail)


def main() -> int:
    """Fill servers that live as long as this process, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--devices", type=int, default=2500)
    options.add_argument("--days", type=int, default=90)
    wanted = options.parse_args()
    with django_on_servers():
        fill(Past(devices=wanted.devices, days=wanted.days, minute_days=2, usage_days=min(wanted.days, 62)))
        jobs(wanted.devices)
        months(wanted.devices)
        pages(wanted.devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
