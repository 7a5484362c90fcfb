"""What beat sends has a worker that knows it, and what must happen by the clock is sent."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from audit.models import AuditEvent
from partners.tasks import lapse_agreements
from portal.celery import app
from tests.factories import make_cast


def test_every_entry_names_a_task_that_exists_and_nothing_that_tidies_is_left_out() -> None:
    app.loader.import_default_modules()
    sent = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert sent <= set(app.tasks)
    assert {name for name in app.tasks if name.endswith(".tidy")} <= sent
    assert {"partners.lapse_agreements", "proposals.remind_reviews"} <= sent


@pytest.mark.django_db
def test_an_agreement_lapses_the_day_after_its_last_and_the_clock_is_named() -> None:
    agreement = make_cast().agreement
    agreement.valid_until = timezone.localdate()
    agreement.save()
    assert lapse_agreements() == 0
    agreement.valid_until -= timedelta(days=1)
    agreement.save()
    assert lapse_agreements() == 1
    agreement.refresh_from_db()
    assert agreement.state == "lapsed"
    assert AuditEvent.objects.filter(verb="agreement.lapse", target_id=agreement.public_id).exists()
