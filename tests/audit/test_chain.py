"""The record is append-only, the chain finds what was altered, and two sealers never fork it."""

import threading
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from audit import services
from audit.models import AuditEvent, AuditSeal
from audit.services import GENESIS, digest, record, seal, verify
from tests.factories import UserFactory

# All apps are named so that the flush afterwards cascades to tables of libraries that Django does not know.
COMMITTING = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])


def write(count: int) -> list[AuditEvent]:
    """So many events of one person."""
    user = UserFactory()
    with transaction.atomic():
        return [record(actor=user, verb="thing.done", target=user, changes={"turn": turn}) for turn in range(count)]


@pytest.fixture
def as_owner(db: None) -> Iterator[None]:
    """What only the owner of the table can do: switch the guards off."""
    tables = ("audit_auditevent", "audit_auditseal")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize("table", ["audit_auditevent", "audit_auditseal"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_database_refuses_to_change_what_is_written(db: None, table: str, change: str) -> None:
    write(1)
    seal()
    column = "verb" if table == "audit_auditevent" else "digest"
    with pytest.raises(DatabaseError, match="append"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table, column, "'x'"))
    assert verify().broken is None


def test_orm_is_refused_as_well(db: None) -> None:
    event = write(1)[0]
    event.verb = "thing.undone"
    with pytest.raises(DatabaseError), transaction.atomic():
        event.save()
    with pytest.raises(DatabaseError), transaction.atomic():
        event.delete()


def test_chain_covers_every_event_in_order(db: None) -> None:
    events = write(3)
    assert verify() == services.Verdict(0, 3, None)
    assert (seal(), seal()) == (3, 0)
    previous = GENESIS
    for position, (row, event) in enumerate(zip(AuditSeal.objects.order_by("position"), events, strict=True), start=1):
        previous = digest(previous, event)
        assert (row.position, row.event_id, row.digest) == (position, event.pk, previous)
    assert verify() == services.Verdict(3, 0, None)


@pytest.mark.parametrize(
    "column", ["verb = 'other'", "actor_label = 'x'", "changes = '{}'", "at = at - interval '1 s'"]
)
def test_altered_event_is_found_and_named(db: None, as_owner: None, column: str) -> None:
    events = write(4)
    seal()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE audit_auditevent SET {column} WHERE id = %s", [events[2].pk])
    verdict = verify()
    assert str(events[2].pk) in verdict.broken
    assert verdict.checked == 2


def test_removed_event_is_found(db: None, as_owner: None) -> None:
    events = write(3)
    seal()
    AuditSeal.objects.filter(event=events[1]).delete()
    AuditEvent.objects.filter(pk=events[1].pk).delete()
    verdict = verify()
    assert verdict.broken
    assert verdict.checked == 1


@COMMITTING
def test_two_sealers_at_once_never_fork_the_chain() -> None:
    write(40)
    start, sealed = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        for _turn in range(5):
            sealed.append(seal())
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sealed) == 40
    assert list(AuditSeal.objects.values_list("position", flat=True)) == list(range(1, 41))
    assert verify() == services.Verdict(40, 0, None)


@COMMITTING
def test_late_commit_is_sealed_later_and_the_chain_stays_whole() -> None:
    user = UserFactory()
    early, go_on = threading.Event(), threading.Event()

    def slow_verb() -> None:
        with transaction.atomic():
            record(actor=user, verb="slow", target=user)
            early.set()
            go_on.wait(20)
        connection.close()

    thread = threading.Thread(target=slow_verb)
    thread.start()
    early.wait(20)
    with transaction.atomic():
        fast = record(actor=user, verb="fast", target=user)
    assert seal() == 1
    go_on.set()
    thread.join()
    assert seal() == 1
    slow = AuditEvent.objects.get(verb="slow")
    assert slow.pk < fast.pk
    assert slow.seal.position == 2
    assert verify().broken is None
