"""What watches us."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from allocations.tasks import reconcile_tick
from common import heartbeat
from common.models import Heartbeat, Submission
from portal.tasks import tidy, worker_heartbeat
from tests.factories import LeaseFactory, UserFactory

pytestmark = pytest.mark.django_db
NOBODY = "redis://127.0.0.1:1/0"


def test_healthz_asks_nobody(client: Client, settings: Any, django_assert_num_queries: Any) -> None:
    settings.REDIS_URL = NOBODY
    with django_assert_num_queries(0):
        assert client.get("/healthz").json() == {"status": "ok"}


def test_readyz_names_what_never_spoke(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["worker", "reconciler"]


def test_readyz_is_content_when_worker_and_reconciler_speak(client: Client) -> None:
    worker_heartbeat()
    reconcile_tick()
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    checks = answer.json()["checks"]
    assert set(checks) == {"database", "broker", "worker", "reconciler"}
    assert all(check["age_seconds"] is not None for check in checks.values())


def test_a_part_that_fell_silent_is_named_with_its_age(client: Client) -> None:
    heartbeat.beat(heartbeat.WORKER)
    heartbeat.beat(heartbeat.RECONCILER, timezone.now() - timedelta(minutes=10))
    answer = client.get("/readyz").json()
    assert answer["failing"] == ["reconciler"]
    assert answer["checks"]["reconciler"]["age_seconds"] >= 600


def test_a_dead_broker_is_named_and_pages_go_on(client: Client, settings: Any) -> None:
    settings.REDIS_URL = NOBODY
    heartbeat.beat(heartbeat.WORKER)
    heartbeat.beat(heartbeat.RECONCILER)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json()["failing"] == ["broker"]
    assert "127.0.0.1" not in answer.content.decode()
    client.force_login(UserFactory())
    assert client.get("/").status_code == 200
    assert b"bitgoeul_broker_up 0.0" in client.get("/metrics").content


def test_metrics_count_by_state(client: Client) -> None:
    LeaseFactory(state="active")
    heartbeat.beat(heartbeat.RECONCILER)
    text = client.get("/metrics").content.decode()
    assert 'bitgoeul_leases{state="active"} 1.0' in text
    assert 'bitgoeul_leases{state="scheduled"} 0.0' in text
    for name in ("bitgoeul_devices{", "bitgoeul_nodes{", "bitgoeul_commands_pending", "bitgoeul_queue_length{"):
        assert name in text
    assert 'bitgoeul_heartbeat_age_seconds{part="reconciler"}' in text


def test_metrics_are_for_the_token_or_the_address(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token-of-the-test"
    settings.METRICS_ALLOW = ["10.1.0.0/16"]
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer a-token-of-the-test"}).status_code == 200
    assert client.get("/metrics", headers={"Authorization": "Bearer -"}).status_code == 403


def test_without_a_token_a_dash_opens_nothing(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.METRICS_ALLOW = "-", []
    assert client.get("/metrics", headers={"Authorization": "Bearer -"}).status_code == 403


def test_beating_twice_keeps_one_row() -> None:
    heartbeat.beat("x")
    heartbeat.beat("x")
    assert Heartbeat.objects.count() == 1


def test_tidy_forgets_old_form_keys_only() -> None:
    user = UserFactory()
    old, new = (Submission.objects.create(key=uuid.uuid4(), user=user) for _turn in range(2))
    Submission.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=8))
    assert tidy() == 1
    assert list(Submission.objects.all()) == [new]
