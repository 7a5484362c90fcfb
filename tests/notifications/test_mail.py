"""Mail waits as a row while the mail server is down, and is sent exactly once when it is back."""

import socket
import threading

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection, transaction

from notifications.models import Mail
from notifications.services import MAX_ATTEMPTS, mail_address, notify, send_pending
from tests.factories import Cast, UserFactory

# All apps are named so that the flush afterwards cascades to tables of libraries that Django does not know.
COMMITTING = pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])


@pytest.fixture
def dead_server(settings: object) -> None:
    """A mail server on a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = free.getsockname()[1]
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 5
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def write(count: int) -> None:
    """So many waiting mails."""
    with transaction.atomic():
        for number in range(count):
            Mail.objects.create(address=f"p{number}@example.test", subject=f"Subject {number}", body="Body")


def test_mail_waits_while_the_server_is_down_and_goes_once(cast: Cast, dead_server: None, settings: object) -> None:
    context = {"organisation": "Upstage"}
    with transaction.atomic():
        notify(recipients=[cast.owner], event="member_removed", context=context, url="/account/")
    assert send_pending() == 0
    waiting = Mail.objects.get()
    assert (waiting.sent_at, waiting.attempts) == (None, 1)
    assert waiting.last_error
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert (send_pending(), send_pending()) == (1, 0)
    (sent,) = mail.outbox
    assert sent.to == [cast.owner.email]
    assert sent.subject.startswith("[Bitgoeul] ")
    assert sent.body.rstrip().endswith("http://testserver/account/")
    waiting.refresh_from_db()
    assert waiting.sent_at
    assert waiting.last_error == ""


def test_ill_server_is_not_asked_for_every_mail(db: None, dead_server: None) -> None:
    write(3)
    send_pending()
    assert sorted(Mail.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_one_refused_address_does_not_hold_up_the_others(db: None) -> None:
    write(2)
    Mail.objects.filter(subject="Subject 0").update(attempts=MAX_ATTEMPTS)
    assert send_pending() == 1
    assert [message.subject for message in mail.outbox] == ["Subject 1"]


@pytest.mark.parametrize(
    "broken", [{"address": f"p@{'é' * 60}.com"}, {"subject": "One\rTwo"}], ids=["a name of no domain", "a line end"]
)
def test_a_mail_that_cannot_be_written_does_not_hold_up_the_others(db: None, broken: dict[str, str]) -> None:
    write(2)
    Mail.objects.filter(subject="Subject 0").update(**broken)
    assert (send_pending(), send_pending()) == (1, 0)
    assert [message.subject for message in mail.outbox] == ["Subject 1"]
    lost = Mail.objects.get(sent_at=None)
    assert lost.attempts == MAX_ATTEMPTS and lost.last_error


def test_no_name_ends_the_line_of_a_subject(cast: Cast) -> None:
    with transaction.atomic():
        notify(recipients=[cast.owner], event="member_removed", context={"organisation": "Up\rstage\u2028x"})
    assert "Up stage x" in Mail.objects.get().subject and send_pending() == 1


def test_rolled_back_change_sends_nothing(cast: Cast) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        notify(recipients=[cast.owner], event="member_removed", context={"organisation": "Upstage"})
        raise RuntimeError
    assert not Mail.objects.exists()
    assert send_pending() == 0


def test_people_who_left_get_nothing(cast: Cast) -> None:
    gone = UserFactory(is_active=False)
    with transaction.atomic():
        notify(recipients=[gone], event="member_removed", context={"organisation": "Upstage"})
        mail_address(address="new@example.test", event="member_removed", context={"organisation": "x"}, language="en")
    assert [row.address for row in Mail.objects.all()] == ["new@example.test"]


@COMMITTING
def test_two_senders_at_once_send_each_mail_once() -> None:
    write(30)
    start, counts = threading.Barrier(3), []

    def work() -> None:
        start.wait()
        counts.append(send_pending())
        connection.close()

    threads = [threading.Thread(target=work) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 30
    assert sorted(message.subject for message in mail.outbox) == sorted(f"Subject {number}" for number in range(30))
