"""notify(): one call puts a line into inboxes and a mail into the queue, each in its reader's language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.db.models import F
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone, translation

from accounts.models import User
from common.inserting import insert
from common.nudge import nudge_once
from notifications.models import Mail, Notification

MAX_ATTEMPTS = 20
BATCH = 500
"""People in one statement."""
SENDING = "notifications.send_pending"
"""The task that empties the queue."""


def notify(*, recipients: Iterable[User], event: str, context: dict[str, Any], url: str = "") -> None:
    """Tell people. `event` names templates/notifications/<event>.txt: first line subject, rest body.

    `context` holds plain values and strings; `url` is a path on this site. Runs in the caller's transaction.
    """
    people = {user.pk: user for user in recipients if user.is_active}
    notify_each(event=event, messages=[Message(user, context, url) for user in people.values()])


@dataclass(frozen=True)
class Message:
    """What one person is told of an event: `context` and `url` as notify has them."""

    recipient: User
    context: Mapping[str, Any]
    url: str = ""


def notify_each(*, event: str, messages: Sequence[Message]) -> None:
    """Tell people of one event, each with words of their own: two statements for each BATCH of them. Runs in the
    caller's transaction.
    """
    assert connection.in_atomic_block, "notify belongs in the transaction of the change"
    for start in range(0, len(messages), BATCH):
        notes, mails = [], []
        for message in messages[start : start + BATCH]:
            user, url = message.recipient, message.url
            subject, body = _render(event, {**message.context, "name": user.name}, user.language, url)
            notes.append(Notification(recipient=user, event=event, subject=subject, body=body, url=url))
            mails.append(_mail(user.email, subject, body, url))
        insert(*notes)
        insert(*mails)
    if messages:
        transaction.on_commit(partial(nudge_once, SENDING))


def mail_address(*, address: str, event: str, context: dict[str, Any], language: str, url: str = "") -> None:
    """Mail somebody who has no account yet (an invitation). Runs in the caller's transaction."""
    assert connection.in_atomic_block, "mail_address belongs in the transaction of the change"
    subject, body = _render(event, context, language, url)
    insert(_mail(address, subject, body, url))
    transaction.on_commit(partial(nudge_once, SENDING))


def send_pending(limit: int = 100) -> int:
    """Send what waits, oldest first; the number sent. Two senders never take the same mail."""
    sent = 0
    for _turn in range(limit):
        with transaction.atomic():
            mail = (
                Mail.objects.select_for_update(skip_locked=True, no_key=True)
                .filter(sent_at=None, attempts__lt=MAX_ATTEMPTS)
                .order_by("attempts", "id")
                .first()
            )
            if mail is None:
                return sent
            try:
                sent += _send(mail)
            except OSError as error:  # smtplib's errors are OSErrors
                _failed(mail, error, mail.attempts + 1)
                return sent  # the mail server is ill: try again at the next beat, not in a loop
            except ValueError as error:
                _failed(mail, error, MAX_ATTEMPTS)  # it can never be written: the others behind it shall not wait
    return sent


def mark_read(*, actor: User, notifications: Iterable[Notification]) -> None:
    """The actor has read these of their own notifications."""
    ids = [note.pk for note in notifications]
    Notification.objects.all().visible_to(actor).filter(pk__in=ids, read_at=None).update(read_at=timezone.now())


def mark_all_read(*, actor: User) -> int:
    """The actor has read everything; the number that was unread."""
    return Notification.objects.all().visible_to(actor).filter(read_at=None).update(read_at=timezone.now())


def _send(mail: Mail) -> int:
    send_mail(mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.address])
    Mail.objects.filter(pk=mail.pk).update(sent_at=timezone.now(), attempts=F("attempts") + 1, last_error="")
    return 1


def _failed(mail: Mail, error: Exception, attempts: int) -> None:
    Mail.objects.filter(pk=mail.pk).update(attempts=attempts, last_error=str(error)[:300])


def _render(event: str, context: dict[str, Any], language: str, url: str) -> tuple[str, str]:
    with translation.override(language):
        template = get_template(f"notifications/{event}.txt").template  # type: ignore[attr-defined]
        # plain text: names stand as they are typed; the pages that show it escape it
        text = template.render(Context({**context, "site": settings.SITE_NAME}, autoescape=False))
    subject, _newline, body = text.strip().partition("\n")
    return " ".join(subject.split())[:200], body.strip()  # a header has no line ends, whatever a name has


def _mail(address: str, subject: str, body: str, url: str) -> Mail:
    return Mail(address=address, subject=f"[{settings.SITE_NAME}] {subject}", body=_with_link(body, url))


def _with_link(body: str, url: str) -> str:
    return f"{body}\n\n{settings.SITE_URL}{url}\n" if url else body + "\n"
