"""The demonstration's mail, read back as it was sent."""

from datetime import timedelta
from pathlib import Path

from django.core.mail import EmailMessage
from django.core.mail.backends.filebased import EmailBackend
from django.utils import timezone

from portal.demo.mailbox import read_mailbox


def test_korean_mails_are_read_as_they_were_written(tmp_path: Path) -> None:
    sent = [
        EmailMessage("[Bitgoeul] 협약 종료 7일 전", f"안녕하십니까. {n} — “끝”", "a@x.test", ["b@x.test"])
        for n in (1, 2)
    ]
    assert EmailBackend(file_path=str(tmp_path)).send_messages(sent) == 2
    found = read_mailbox(tmp_path)
    assert {mail.body.strip() for mail in found} == {"안녕하십니까. 1 — “끝”", "안녕하십니까. 2 — “끝”"}
    assert all(timezone.now() - mail.at < timedelta(minutes=1) for mail in found)
    assert {mail.subject for mail in found} == {"[Bitgoeul] 협약 종료 7일 전"}
