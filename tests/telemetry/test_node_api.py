"""The door for samples."""

import gzip
import json
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.services.nodes import register_node
from common.actors import SEED
from telemetry.host_models import NodeHour
from telemetry.models import Sample
from tests.factories import DeviceFactory, PoolFactory

pytestmark = pytest.mark.django_db
URL = "/api/node/v1/samples/"


def post(token: str, body: Any, *, packed: bool = True, quiet: bool = False) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"HTTP_AUTHORIZATION": f"Node {token}"} | ({"HTTP_CONTENT_ENCODING": "gzip"} if packed else {})
    sent = gzip.compress(raw) if packed else raw
    return APIClient(raise_request_exception=not quiet).generic(
        "POST", URL, sent, content_type="application/json", **headers
    )


def test_a_node_delivers_packed_and_repeats_harmlessly() -> None:
    node, token = register_node(actor=SEED, name="gpu-1", pool=PoolFactory())
    device = DeviceFactory(node=node)
    body = {
        "boot_id": "b",
        "sequence": 7,
        "samples": [{"uuid": device.uuid, "at": timezone.now().timestamp(), "utilisation_percent": 3}],
    }
    first = post(token, body)
    assert first.status_code == 202, first.content
    assert (first.data["accepted"], first.data["repeated"]) == (1, False)
    assert post(token, body, packed=False).data["repeated"] is True


def test_strangers_are_turned_away() -> None:
    assert post("wrong", {}).status_code in (401, 403)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[]",
        b"null",
        b'{"boot_id": 1}',
        b'{"boot_id": "b", "sequence": -1, "samples": []}',
        b'{"boot_id": "b", "sequence": 9223372036854775807, "samples": []}',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
)
def test_nonsense_is_a_400(body: bytes) -> None:
    _node, token = register_node(actor=SEED, name="gpu-1", pool=PoolFactory())
    assert post(token, body).status_code == 400


@pytest.mark.parametrize("figure", ["1e-60", "5e-324", "NaN", "1e400", "[[]]"])
def test_a_figure_that_no_machine_says_loses_no_sample(figure: str) -> None:
    node, token = register_node(actor=SEED, name="gpu-1", pool=PoolFactory())
    now, uuid = timezone.now().timestamp(), DeviceFactory(node=node).uuid
    for number in range(2):
        sample = f'{{"uuid": "{uuid}", "at": {now - 60 * number}, "power_watts": {figure}, "temperature_c": 30}}'
        host = f'{{"at": {now - 60 * number}, "cpu_percent": {figure}, "load": 1}}'
        body = f'{{"boot_id": "b", "sequence": {number}, "samples": [{sample}], "host": {host}}}'
        assert post(token, body.encode(), quiet=True).status_code == 202
    assert list(Sample.objects.values_list("temperature_c", flat=True)) == [30, 30]
    assert list(NodeHour.objects.values_list("samples", "load")) == [(2, 1.0)]


@pytest.mark.parametrize("table", ["telemetry_sample", "telemetry_latestsample"])
def test_a_full_disk_is_a_503_and_the_same_delivery_is_taken_whole_later(table: str) -> None:
    node, token = register_node(actor=SEED, name="gpu-1", pool=PoolFactory())
    sample = {"uuid": DeviceFactory(node=node).uuid, "at": timezone.now().timestamp(), "utilisation_percent": 3}
    body = {"boot_id": "b", "sequence": 7, "samples": [sample]}
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;"
            f"CREATE TRIGGER no_room BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()"
        )
        refused = post(token, body, quiet=True)
        assert refused.status_code == 503 and refused.headers["Retry-After"] and not Sample.objects.exists()
        cursor.execute(f"DROP TRIGGER no_room ON {table}")
    assert post(token, body).data["accepted"] == 1 and Sample.objects.count() == 1
