"""Open calls for everybody: what was published and nothing internal."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from proposals.models import Call
from proposals.services import call_documents
from tests.proposals.stage import Stage

LIST = "/open-calls/"


def page_of(call: Call) -> str:
    return reverse("proposals:public-call", args=[call.public_id])


def test_anybody_reads_what_is_open_in_both_languages(stage: Stage) -> None:
    Call.objects.filter(pk=stage.call.pk).update(
        sizes=["small"],
        closes_at=timezone.now() + timedelta(days=9),
        two_person_gpu_seconds=777_777 * 3600,
        contact="gpu@agency.example.test",
    )
    stage.call.offers.update(budget_gpu_seconds=424_242 * 3600)
    stage.call.steps.create(kind="expert", owner=stage.cast.officer)
    stage.call.dates.create(on="2027-03-02", label_ko="결과 발표", label_en="Results")
    for language, words in (
        ("ko", ("상시 지원", "결과 발표", "소기업")),
        ("en", ("Rolling support", "Results", "small enterprise")),
    ):
        visitor = Client(headers={"accept-language": language})
        assert words[0] in visitor.get(LIST).content.decode()
        page = visitor.get(page_of(stage.call)).content.decode()
        for word in (*words, "NVIDIA H100 SXM 80 GB", "gpu@agency.example.test"):
            assert word in page, word
        for internal in ("424,242", "777,777", str(stage.cast.officer)):
            assert internal not in page, internal


@pytest.mark.parametrize("published", [None, timedelta(days=1)])
def test_nobody_finds_a_draft(stage: Stage, published: Any) -> None:
    at = published and timezone.now() + published
    Call.objects.filter(pk=stage.call.pk).update(published_at=at)
    assert Client().get(page_of(stage.call)).status_code == 404
    assert stage.call.title_ko not in Client().get(LIST).content.decode()


def test_a_call_that_is_over_leaves_the_list_and_keeps_its_page(stage: Stage) -> None:
    Call.objects.filter(pk=stage.call.pk).update(closes_at=timezone.now() - timedelta(days=1))
    visitor = Client(headers={"accept-language": "en"})
    assert stage.call.title_en not in visitor.get(LIST).content.decode()
    assert "no longer takes proposals" in visitor.get(page_of(stage.call)).content.decode()


def test_documents_are_downloaded_without_signing_in(stage: Stage, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    upload = SimpleUploadedFile("공고문.pdf", b"%PDF-1.7 text")
    made = call_documents.add_document(actor=stage.cast.officer, call=stage.call, upload=upload)
    address = reverse("proposals:call-document", args=[stage.call.public_id, made.public_id])
    assert address in Client().get(page_of(stage.call)).content.decode()
    answer = Client().get(address)
    assert b"".join(answer.streaming_content) == b"%PDF-1.7 text"  # type: ignore[attr-defined]
    assert answer["X-Content-Type-Options"] == "nosniff" and "attachment" in answer["Content-Disposition"]
    Call.objects.filter(pk=stage.call.pk).update(published_at=None)
    assert Client().get(address).status_code == 404


def test_the_sign_in_page_leads_there_and_programs_are_slowed_down(
    stage: Stage, settings: Any, monkeypatch: Any
) -> None:
    assert f'href="{LIST}"' in Client().get("/accounts/login/").content.decode()
    settings.RATELIMIT_ENABLE = True
    monkeypatch.setattr("proposals.views.public.VISITS", "2/m")
    cache.clear()
    assert [Client().get(LIST).status_code for _turn in range(3)] == [200, 200, 429]


def test_behind_the_proxy_each_visitor_has_a_limit_of_their_own(stage: Stage, settings: Any, monkeypatch: Any) -> None:
    settings.RATELIMIT_ENABLE, settings.ALLAUTH_TRUSTED_PROXY_COUNT = True, 1
    monkeypatch.setattr("proposals.views.public.VISITS", "1/m")
    cache.clear()

    def visit(forwarded: str) -> int:
        return Client().get(LIST, headers={"X-Forwarded-For": forwarded}).status_code

    assert [visit("198.51.100.1"), visit("198.51.100.2"), visit("198.51.100.1")] == [200, 200, 429]
    assert visit("203.0.113.9, 198.51.100.1") == 429  # what a visitor writes there by themselves counts for nothing
