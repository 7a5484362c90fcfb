"""An officer keeps a call right without taking back what was announced: page and API, the same verb."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import AuditEvent
from cluster.models import Pool
from common.errors import Forbidden, RuleBroken
from proposals.models import Call
from proposals.services.calls import edit_call, terms_of
from proposals.terms import CallTerms, Offer
from tests.factories import PoolFactory
from tests.proposals.stage import Stage, browser


def in_days(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def page_of(stage: Stage, name: str = "call-edit") -> str:
    return reverse(f"proposals:{name}", args=[stage.call.public_id])


def api_of(user: Any) -> APIClient:
    api = APIClient()
    api.force_authenticate(user)
    return api


def patch(stage: Stage, who: Any = None, **changes: Any) -> Any:
    url = f"/api/v1/calls/{stage.call.public_id}/"
    return api_of(who or stage.cast.officer).patch(url, changes, format="json")


def form(stage: Stage, **changes: Any) -> dict[str, Any]:
    said = terms_of(stage.call)
    texts = {name: getattr(said, name) for name in ("title_ko", "title_en", "text_ko", "text_en")}
    return {**texts, **changes}


def dates_form(stage: Stage, **changes: Any) -> dict[str, Any]:
    said = terms_of(stage.call)
    closes = "" if said.closes_at is None else timezone.localtime(said.closes_at).strftime("%Y-%m-%dT%H:%M")
    rows = {"dates-TOTAL_FORMS": "0", "dates-INITIAL_FORMS": "0"}
    return {"closes_at": closes, "answer_days": said.answer_days, **rows, **changes}


def offers(*pools: Pool) -> list[dict[str, Any]]:
    return [{"pool": pool.public_id} for pool in pools]


def as_draft(stage: Stage) -> Pool:
    """The call is not published yet; another pool that it could offer."""
    Call.objects.filter(pk=stage.call.pk).update(published_at=None)
    pool: Pool = PoolFactory(name="other")
    return pool


def closing(stage: Stage, at: datetime | None) -> None:
    Call.objects.filter(pk=stage.call.pk).update(closes_at=at)
    stage.call.refresh_from_db()


def test_texts_of_an_open_call_are_changed_on_the_page(stage: Stage) -> None:
    officer = browser(stage.cast.officer)
    assert page_of(stage) in officer.get(stage.call.get_absolute_url()).content.decode()
    assert stage.call.title_ko in officer.get(page_of(stage)).content.decode()
    sent = officer.post(page_of(stage), form(stage, title_en="Better words"))
    assert sent.status_code == 302 and sent.url == page_of(stage)
    stage.call.refresh_from_db()
    assert stage.call.title_en == "Better words"
    assert AuditEvent.objects.get(verb="call.edit").changes == {"title_en": ["Rolling support", "Better words"]}


def test_the_api_changes_only_what_is_sent(stage: Stage) -> None:
    answer = patch(stage, text_en="Other text.")
    assert answer.status_code == 200, answer.data
    assert (answer.data["text_en"], answer.data["title_ko"]) == ("Other text.", "상시 지원")
    assert patch(stage).status_code == 200
    assert AuditEvent.objects.filter(verb="call.edit").count() == 1  # nothing changed, nothing is written


@pytest.mark.parametrize("days", [3, -1])
def test_the_cut_off_of_an_open_call_is_never_moved_earlier(stage: Stage, days: float) -> None:
    closing(stage, in_days(10))
    refused = patch(stage, closes_at=in_days(days).isoformat())
    assert (refused.status_code, refused.data["code"], refused.data["field"]) == (422, "call_shortened", "closes_at")
    assert datetime.fromisoformat(refused.data["facts"]["earliest"]) == stage.call.closes_at
    typed = timezone.localtime(in_days(days)).strftime("%Y-%m-%dT%H:%M")
    page = browser(stage.cast.officer).post(
        page_of(stage, "call-dates"), dates_form(stage, closes_at=typed, answer_days=33)
    )
    assert page.status_code == 422 and 'value="33"' not in page.content.decode()  # the days stand in an open call
    assert f'value="{typed}"' in page.content.decode()
    assert "only ever moved later" in page.content.decode()


def test_the_cut_off_of_an_open_call_may_be_moved_later_or_lifted(stage: Stage) -> None:
    closing(stage, in_days(10))
    assert patch(stage, closes_at=in_days(20).isoformat()).status_code == 200
    assert patch(stage, closes_at=None).data["closes_at"] is None


def test_an_untouched_cut_off_keeps_its_seconds(stage: Stage) -> None:
    closing(stage, in_days(10).replace(second=59, microsecond=0))
    sent = browser(stage.cast.officer).post(page_of(stage, "call-dates"), dates_form(stage))
    assert sent.status_code == 302
    before = stage.call.closes_at
    stage.call.refresh_from_db()
    assert stage.call.closes_at == before


def test_a_rolling_call_gets_a_cut_off_with_a_week_of_notice(stage: Stage) -> None:
    proposal = stage.submitted()
    assert patch(stage, closes_at=in_days(6).isoformat()).data["code"] == "call_shortened"
    assert patch(stage, closes_at=in_days(8).isoformat()).status_code == 200
    stage.call.refresh_from_db()
    assert proposal.submitted_at and stage.call.closes_at and proposal.submitted_at < stage.call.closes_at


def test_what_an_open_call_offers_stands(stage: Stage) -> None:
    other = PoolFactory(name="other")
    refused = patch(stage, offers=offers(other))
    assert (refused.status_code, refused.data["code"]) == (422, "call_is_open")
    sent = browser(stage.cast.officer).post(page_of(stage, "call-pools"), {f"pool_{other.public_id}": "on"})
    assert sent.status_code == 302  # the field is shown and stands: what was typed into it counts for nothing
    assert list(stage.call.pools.all()) == [stage.pool]


def test_everything_of_a_draft_is_changed(stage: Stage) -> None:
    other = as_draft(stage)
    closing(stage, in_days(10))
    typed = timezone.localtime(in_days(2)).strftime("%Y-%m-%dT%H:%M")
    officer = browser(stage.cast.officer)
    assert officer.post(page_of(stage, "call-dates"), dates_form(stage, closes_at=typed)).status_code == 302
    sent = officer.post(page_of(stage, "call-pools"), {f"pool_{other.public_id}": "on", "smallest_gpu_hours": "10"})
    assert sent.status_code == 302
    assert list(stage.call.pools.all()) == [other]
    assert AuditEvent.objects.filter(verb="call.edit").latest("id").changes["smallest_gpu_seconds"] == [None, 36_000]
    assert patch(stage, offers=offers(stage.pool, other)).status_code == 200
    assert patch(stage, closes_at=in_days(-1).isoformat()).data["code"] == "cut_off_too_early"


def test_a_call_that_is_announced_for_later_is_still_a_draft(stage: Stage) -> None:
    other = as_draft(stage)
    Call.objects.filter(pk=stage.call.pk).update(published_at=in_days(5))
    assert patch(stage, offers=offers(other)).status_code == 200
    assert patch(stage, closes_at=in_days(4).isoformat()).data["code"] == "cut_off_too_early"
    assert patch(stage, closes_at=in_days(6).isoformat()).status_code == 200


def test_a_call_that_is_over_stays_as_it_was_answered(stage: Stage) -> None:
    closing(stage, in_days(-1))
    refused = patch(stage, title_en="Too late")
    assert (refused.status_code, refused.data["code"]) == (409, "call_over")
    assert patch(stage, closes_at=in_days(9).isoformat()).status_code == 409
    officer = browser(stage.cast.officer)
    assert "This call is over" in officer.post(page_of(stage), form(stage)).content.decode()
    assert "stands as it was published" in officer.get(page_of(stage)).content.decode()


def test_the_work_on_a_call_that_is_over_goes_on(stage: Stage) -> None:
    closing(stage, in_days(-1))
    day = {"on": "2026-12-01", "label_ko": "발표", "label_en": "Results"}
    assert patch(stage, dates=[day]).data["dates"][0]["label_en"] == "Results"
    stage.call.steps.create(kind="expert", due_at=in_days(1))
    due = in_days(9).replace(second=0, microsecond=0)
    typed = {"expert_on": "on", "expert_due_at": timezone.localtime(due).strftime("%Y-%m-%dT%H:%M")}
    page = browser(stage.cast.officer).post(page_of(stage, "call-steps"), typed)
    assert page.status_code == 302 and stage.call.steps.get().due_at == due


@pytest.mark.parametrize(
    "changes",
    [
        {"title_ko": ""},
        {"title_en": "x" * 201},
        {"text_ko": "가" * 20_001},
    ],
)
def test_nonsense_comes_back_in_both_skins(stage: Stage, changes: dict[str, Any]) -> None:
    as_draft(stage)
    page = browser(stage.cast.officer).post(page_of(stage), form(stage) | changes)
    assert page.status_code == 422
    assert patch(stage, **changes).status_code in (400, 422)
    assert not AuditEvent.objects.filter(verb="call.edit").exists()


@pytest.mark.parametrize("closes_at", ["tomorrow", "0001-01-01T00:00", "9999-12-31T23:59", "2095-01-01T00:00"])
def test_a_nonsense_cut_off_comes_back_in_both_skins(stage: Stage, closes_at: str) -> None:
    as_draft(stage)
    page = browser(stage.cast.officer).post(page_of(stage, "call-dates"), dates_form(stage, closes_at=closes_at))
    assert page.status_code == 422
    assert patch(stage, closes_at=closes_at).status_code in (400, 422)


def test_only_officers_may(stage: Stage) -> None:
    for who in (stage.cast.owner, stage.cast.outsider, stage.cast.operator, stage.cast.auditor):
        assert browser(who).get(page_of(stage)).status_code == 403
        assert patch(stage, who, title_en="x").status_code == 403
        assert page_of(stage) not in browser(who).get(stage.call.get_absolute_url()).content.decode()
        with pytest.raises(Forbidden):
            edit_call(actor=who, call=stage.call, changes={"title_en": "x"})
    as_draft(stage)
    assert browser(stage.cast.owner).get(page_of(stage)).status_code == 404  # a draft does not exist for partners
    assert patch(stage, stage.cast.owner, title_en="x").status_code == 404


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"offers": ()}, "call_is_open"),
        ({"title_ko": " "}, "bad_text"),
        ({"text_en": " "}, "call_incomplete"),
        ({"sizes": ("micro",)}, "call_is_open"),
        ({"answer_days": 3}, "call_is_open"),
        ({"held_back_percent": 50}, "call_is_open"),
    ],
)
def test_the_service_itself_holds_an_open_call(stage: Stage, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(RuleBroken) as caught:
        edit_call(actor=stage.cast.officer, call=stage.call, changes=changes)
    assert caught.value.code == code


def test_a_budget_of_an_open_call_is_only_ever_raised(stage: Stage) -> None:
    stage.call.offers.update(budget_gpu_seconds=100 * 3600)
    page = page_of(stage, "call-pools")
    field = f"budget_{stage.pool.public_id}"
    officer = browser(stage.cast.officer)
    for hours, status in (("50", 422), ("200", 302), ("", 302)):
        assert officer.post(page, {field: hours}).status_code == status, hours
    assert "only ever raised" in officer.post(page, {field: "50"}).content.decode()
    assert terms_of(stage.call) == CallTerms(
        "상시 지원", "Rolling support", "지원합니다.", "We support.", offers=(Offer(stage.pool),)
    )
