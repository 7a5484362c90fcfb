"""Questions that are composed once, rows that are written with one text, nudges of which one is enough."""

import threading
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError

from accounts.models import User
from common import compiled
from common.compiled import Among, Statement, question
from common.inserting import insert
from common.nudge import heard, nudge_once
from notifications.models import Mail
from tests.factories.accounts import UserFactory

# Naming every app makes the clean-up TRUNCATE … CASCADE: a table of another package points at our users.
COMMITTING = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])


@question
def _mails(address: str, above: int | None, *, newest: bool) -> QuerySet[Mail]:
    rows = Mail.objects.filter(address=address)
    rows = rows if above is None else rows.filter(pk__gt=above)
    return rows.order_by("-pk" if newest else "pk")


@question
def _locked(keys: list[int]) -> QuerySet[Mail]:
    return Mail.objects.select_for_update(no_key=True).filter(Among("pk", keys))


def _write(count: int) -> list[Mail]:
    return list(insert(*(Mail(address="a@example.test", subject=str(number), body="") for number in range(count))))


def test_each_shape_has_a_text_of_its_own_and_values_none(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _write(2)
    composed: list[str] = []
    honest = compiled._Composed.__init__

    def counted(self: Any, name: str, rows: QuerySet[Any]) -> None:
        composed.append(name)
        honest(self, name, rows)

    monkeypatch.setattr(compiled._Composed, "__init__", counted)
    for _turn in range(3):
        assert _mails.rows("a@example.test", None, newest=True) == [second, first]
        assert _mails.rows("a@example.test", first.pk, newest=True) == [second]
        assert _mails.rows("a@example.test", second.pk, newest=True) == []
        assert _mails.rows("nobody@example.test", None, newest=False) == []
    assert len(composed) == 3


@COMMITTING
def test_a_plan_outlives_a_rollback_and_a_new_session_makes_its_own() -> None:
    mails = _write(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert _mails.rows("a@example.test", None, newest=True) == mails
        raise ZeroDivisionError
    assert _mails.rows("a@example.test", None, newest=True) == mails
    connection.close()
    assert _mails.rows("a@example.test", None, newest=True) == mails
    with pytest.raises(TransactionManagementError):
        _locked.rows([mails[0].pk])
    with transaction.atomic():
        assert _locked.rows([mails[0].pk, 0]) == mails and _locked.rows([]) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_statement_says_the_same_with_its_plan_kept_and_without(db: None, settings: Any, kept: bool) -> None:
    settings.PREPARE_QUERIES = kept
    statement = Statement("SELECT %(word)s || '%%', 2 * %(number)s", word="text", number="bigint")
    with connection.cursor() as cursor:
        for number in range(3):
            statement.run(cursor, number=number, word="it's 100")
            assert cursor.fetchall() == [("it's 100%", 2 * number)]
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = %s", [statement.name])
        assert cursor.fetchone() == (int(kept),)


@COMMITTING
def test_many_who_ask_at_once_for_the_first_time_get_the_same_answer() -> None:
    mails, answers, start = _write(3), [], threading.Barrier(8)

    def ask() -> None:
        start.wait()
        answers.append(asked.rows(1, names=("subject",)))
        connection.close()

    @question
    def asked(above: int, *, names: tuple[str, ...]) -> QuerySet[Mail, Any]:
        return Mail.objects.filter(pk__gt=models.Value(0) * above).order_by("pk").values_list(*names, flat=True)

    threads = [threading.Thread(target=ask) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[mail.subject for mail in mails]] * 8


def test_past_so_many_shapes_a_question_is_composed_anew(db: None) -> None:
    mails = _write(1)

    @question
    def named(*, subject: str) -> QuerySet[Mail]:
        return Mail.objects.filter(subject=subject)

    for number in range(compiled.MOST_SHAPES + 5):
        assert named.rows(subject=str(number)) == (mails if number == 0 else [])


def test_rows_are_written_as_bulk_create_writes_them(db: None) -> None:
    user = UserFactory()
    told = {"name": "누구", "language": "ko", "public_id": "user-22222222"}
    written = insert(User(email="a@example.test", **told), User(email="b@example.test", **told | {"public_id": "x"}))
    assert [row.pk for row in written] == [user.pk + 1, user.pk + 2] and not written[0]._state.adding
    control = User(email="c@example.test", **told | {"public_id": "y"})
    User.objects.bulk_create([control])
    row, other = User.objects.get(pk=written[0].pk), User.objects.get(pk=control.pk)
    ours = {"id", "public_id", "email", "date_joined", "_state"}
    assert {k: v for k, v in vars(row).items() if k not in ours} == {
        k: v for k, v in vars(other).items() if k not in ours
    }
    assert insert() == ()


def test_one_nudge_waits_until_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    honest = current_app.send_task
    monkeypatch.setattr(current_app, "send_task", lambda task, **options: (sent.append(task), honest(task, **options)))
    task = "portal.worker_heartbeat"
    heard(task)
    assert nudge_once(task) and nudge_once(task) and sent == [task]
    heard(task)
    assert nudge_once(task) and sent == [task, task]
    heard(task)
