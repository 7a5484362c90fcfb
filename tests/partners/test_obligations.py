"""What is owed is written down, reminded of and reported; and the end of an agreement is told in time."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from common.errors import Forbidden, RuleBroken, WrongState
from notifications.models import Notification
from partners.models import Agreement, Obligation
from partners.services import notices, obligations
from partners.tasks import tell_in_time
from tests.factories import AgreementFactory, Cast
from tests.proposals.stage import browser

pytestmark = pytest.mark.django_db


def today() -> date:
    return timezone.localdate(timezone=timezone.get_default_timezone())


def owed(cast: Cast, **fields: Any) -> Obligation:
    asked: dict[str, Any] = {"kind": "report", "text": "Yearly report", "due_on": today() + timedelta(20), **fields}
    return obligations.add_obligation(actor=cast.officer, agreement=cast.agreement, **asked)


def told(event: str, who: Any) -> int:
    return Notification.objects.filter(event=event, recipient=who).count()


def test_each_reminder_goes_out_once(cast: Cast) -> None:
    due = owed(cast).due_on
    assert due
    for day, event, count in (
        (15, "obligation_due", 0),
        (14, "obligation_due", 1),
        (4, "obligation_due", 1),
        (3, "obligation_due", 2),
        (0, "obligation_due", 2),
        (-1, "obligation_overdue", 1),
        (-9, "obligation_overdue", 1),
    ):
        for _beat in range(2):
            obligations.remind_due(today=due - timedelta(days=day))
        assert told(event, cast.owner) == count, day
    assert told("obligation_overdue", cast.officer) == 1


def test_what_is_done_is_not_reminded_of(cast: Cast) -> None:
    one = owed(cast, due_on=today() + timedelta(1))
    with pytest.raises(Forbidden):
        obligations.fulfil(actor=cast.teammate, obligation=one, done_on=today())
    with pytest.raises(RuleBroken):
        obligations.fulfil(actor=cast.manager, obligation=one, done_on=today() + timedelta(1))
    done = obligations.fulfil(actor=cast.manager, obligation=one, done_on=today(), note="Sent by mail")
    assert told("obligation_done", cast.officer) == 1
    assert obligations.remind_due(today=today() + timedelta(9)) == 0
    with pytest.raises(WrongState):
        obligations.edit_obligation(actor=cast.officer, obligation=done, kind="other", text="x", due_on=None)
    assert obligations.reopen(actor=cast.officer, obligation=done).done_on is None
    assert obligations.remind_due(today=today()) == 1


@pytest.mark.parametrize(
    "fields", [{"kind": "x"}, {"text": " "}, {"due_on": None}, {"due_on": date(2000, 1, 1)}], ids=str
)
def test_bad_obligations_are_refused(cast: Cast, fields: Any) -> None:
    with pytest.raises(RuleBroken) as caught:
        owed(cast, **fields)
    assert caught.value.field in fields


def test_the_end_is_told_sixty_thirty_and_seven_days_before_exactly_once(cast: Cast) -> None:
    last = cast.agreement.valid_until
    sent = []
    for days in range(65, -2, -1):
        sent += [days for _beat in range(3) if notices.notify_ends(today=last - timedelta(days=days))]
    assert sent == [60, 30, 7]
    assert told("agreement_ending", cast.owner) == told("agreement_ending", cast.officer) == 3


def test_one_found_late_has_the_nearest_notice_alone_and_a_new_last_day_begins_anew(cast: Cast) -> None:
    last = cast.agreement.valid_until
    assert notices.notify_ends(today=last - timedelta(5)) == 1
    assert notices.notify_ends(today=last) == 0
    Agreement.objects.filter(pk=cast.agreement.pk).update(valid_until=last + timedelta(100))
    assert notices.notify_ends(today=last + timedelta(41)) == 1


def test_what_is_renewed_does_not_end(cast: Cast) -> None:
    last = cast.agreement.valid_until
    term = {"valid_from": last + timedelta(1), "valid_until": last + timedelta(99)}
    renewal = AgreementFactory(organisation=cast.organisation, renews=cast.agreement, state="draft", **term)
    assert notices.notify_ends(today=last - timedelta(50)) == 1  # a draft continues nothing yet
    Agreement.objects.filter(pk=renewal.pk).update(state="active")
    assert notices.notify_ends(today=last - timedelta(20)) == 0
    assert tell_in_time() == 0


def test_pages_and_api_of_obligations(cast: Cast) -> None:
    officer, manager = browser(cast.officer), browser(cast.manager)
    url = reverse("partners:agreement-obligation", args=[cast.agreement.public_id])
    assert officer.post(url, {"kind": "report", "text": "Report", "due_on": ""}).status_code == 422
    assert officer.post(url, {"kind": "report", "text": "Report", "due_on": str(today())}).status_code == 302
    one = Obligation.objects.get()
    edit = reverse("partners:obligation-edit", args=[one.public_id])
    assert officer.post(edit, {"kind": "report", "text": "The report", "due_on": str(today())}).status_code == 302
    assert manager.post(edit, {}).status_code == 403
    done = reverse("partners:obligation-fulfil", args=[one.public_id])
    assert manager.post(done, {"done_on": str(today()), "note": "/files/1"}).status_code == 302
    page = manager.get(cast.agreement.get_absolute_url()).content.decode()
    assert "The report" in page and "/files/1" in page
    officer.post(reverse("partners:obligation-reopen", args=[one.public_id]))
    api = APIClient()
    api.force_authenticate(cast.manager)
    address = f"/api/v1/obligations/{one.public_id}/"
    assert api.get("/api/v1/obligations/?open=true").data["count"] == 1
    assert api.post(address + "fulfil/", {"done_on": str(today())}, format="json").data["done_on"] == str(today())
    assert api.delete(address).status_code == 403
    api.force_authenticate(cast.officer)
    assert api.post(address + "reopen/").status_code == 200
    body = {"kind": "other", "text": "Else", "due_on": None}
    assert api.patch(address, body, format="json").data["text"] == "Else"
    assert api.delete(address).status_code == 204
    made = api.post("/api/v1/obligations/", body | {"agreement": cast.agreement.public_id}, format="json")
    assert made.status_code == 201
    officer.post(reverse("partners:obligation-remove", args=[made.data["id"]]))
    assert not Obligation.objects.exists()
