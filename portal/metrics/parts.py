"""The portal itself: what must run, what waits, how far the jobs have come, how much room the tables take."""

from collections.abc import Iterator
from datetime import datetime

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Model
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from allocations.lifecycle import LEASE
from allocations.models import Lease, UsageMark
from cluster.models import NodeCommand
from common import heartbeat
from common.lifecycle import Lifecycle
from notifications.models import Mail
from proposals.models import Proposal
from telemetry.models import LateHour, RollupMark
from telemetry.partitions import sizes


def collect() -> Iterator[Metric]:
    """Every family of the portal's own."""
    now = timezone.now()
    yield InfoMetricFamily(
        "bitgoeul", "The release that answers", value={"version": str(settings.SPECTACULAR_SETTINGS["VERSION"])}
    )
    yield by_state("bitgoeul_leases", "Reservations by state", Lease, LEASE)
    yield from _queues(now)
    yield _ages("bitgoeul_heartbeat_age_seconds", "Seconds since a part was heard", "part", heartbeat.ages(now))
    yield from _jobs(now)
    yield from _tables()
    yield from _broker()


def by_state(name: str, text: str, model: type[Model], lifecycle: Lifecycle) -> Metric:
    """How many rows are in each state of a lifecycle; 0 where none is."""
    family = GaugeMetricFamily(name, text, labels=["state"])
    counted = dict(model._default_manager.order_by().values_list("state").annotate(Count("pk")))
    for state in lifecycle.states:
        family.add_metric([state], counted.get(state, 0))
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    """A family of one figure."""
    return GaugeMetricFamily(name, text, value=value)


def _queues(now: datetime) -> Iterator[Metric]:
    commands = NodeCommand.objects.filter(state="pending").aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield gauge("bitgoeul_commands_pending", "Commands that nodes have not answered", commands["count"])
    yield gauge("bitgoeul_commands_oldest_seconds", "Age of the oldest of them", _age(commands["oldest"], now))
    mails = Mail.objects.filter(sent_at=None).aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield gauge("bitgoeul_mails_waiting", "Mails not sent yet", mails["count"])
    yield gauge("bitgoeul_mails_oldest_seconds", "Age of the oldest of them", _age(mails["oldest"], now))
    waiting = Proposal.objects.filter(state__in=("submitted", "in_review")).count()
    yield gauge("bitgoeul_proposals_waiting", "Proposals that wait for a decision", waiting)


def _jobs(now: datetime) -> Iterator[Metric]:
    marks = {f"rollup_{mark.name}": _age(mark.done_until, now) for mark in RollupMark.objects.all()}
    marks |= {f"usage_{mark.name}": _age(mark.done_until, now) for mark in UsageMark.objects.all()}
    yield _ages("bitgoeul_job_lag_seconds", "Seconds that a job with a watermark lies behind", "step", marks)
    late = LateHour.objects.filter(rolled_at=None).count()
    yield gauge("bitgoeul_late_rollups", "Hours with late samples that are not rolled up anew", late)


def _tables() -> Iterator[Metric]:
    size = GaugeMetricFamily("bitgoeul_table_bytes", "A telemetry table with its indexes", labels=["table"])
    rows = GaugeMetricFamily("bitgoeul_table_rows", "Its rows, as last counted by the database", labels=["table"])
    astray = GaugeMetricFamily(
        "bitgoeul_table_astray_rows", "Its rows that no partition was made for", labels=["table"]
    )
    for table in sizes():
        size.add_metric([table.table], table.bytes)
        rows.add_metric([table.table], table.rows)
        astray.add_metric([table.table], table.astray)
    yield from (size, rows, astray)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        yield gauge("bitgoeul_database_bytes", "The whole database on its disk", cursor.fetchone()[0])


def _broker() -> Iterator[Metric]:
    up, queue = True, GaugeMetricFamily("bitgoeul_queue_length", "Messages that wait in a queue", labels=["queue"])
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            name = settings.CELERY_TASK_DEFAULT_QUEUE
            queue.add_metric([name], float(client.llen(name)))  # type: ignore[arg-type]
    except (redis.RedisError, OSError):
        up = False
    yield gauge("bitgoeul_broker_up", "1 where the broker answers", float(up))
    if up:
        yield queue


def _ages(name: str, text: str, label: str, ages: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, seconds in sorted(ages.items()):
        family.add_metric([key], seconds)
    return family


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0
