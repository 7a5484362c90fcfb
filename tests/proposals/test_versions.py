"""What was submitted: the receipt that can be checked, and differences that can be read."""

import hashlib
import json
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import translation

from notifications.models import Mail
from proposals.asks import Plan, Team, TeamRow
from proposals.models import Proposal, ProposalVersion
from proposals.selectors import compare
from proposals.selectors.differences import spans_of
from proposals.services import decisions, drafting, sections
from tests.proposals.stage import Stage, browser
from tests.queries import MOST_A_PAGE, queries_of


def url(name: str, proposal: Proposal, query: str = "") -> str:
    return reverse(f"proposals:{name}", args=[proposal.public_id]) + query


def twice(stage: Stage) -> Proposal:
    """Submitted, returned, changed and submitted again."""
    proposal = stage.submitted()
    decisions.return_for_changes(actor=stage.cast.officer, proposal=proposal, reason="More.")
    team = Team((TeamRow("Kim", "kim@lab.example.test", "Lead"),))
    for part in (Plan("Train it slowly.", "Public text."), team):
        sections.save_part(actor=stage.cast.owner, proposal=proposal, part=part)
    return drafting.submit(actor=stage.cast.owner, proposal=proposal)


def test_the_receipt_says_number_moment_and_the_hash_of_what_was_kept(stage: Stage) -> None:
    proposal = stage.submitted()
    version = proposal.versions.get()
    client = browser(stage.cast.viewer)
    page = client.get(url("receipt", proposal)).content.decode()
    at = version.submitted_at.astimezone(ZoneInfo("Asia/Seoul"))
    for word in (str(proposal.number), at.strftime("%Y-%m-%d %H:%M:%S KST"), version.sha256, "still has this hash"):
        assert word in page
    assert stage.pool.gpu_class.name in page and stage.pool.gpu_class.code not in page
    content = client.get(url("receipt-content", proposal)).content
    assert hashlib.sha256(content).hexdigest() == version.sha256
    assert json.loads(content)["title"] == proposal.title
    mail = Mail.objects.get(address=stage.cast.owner.email)
    assert version.sha256 in mail.body and "KST" in mail.body and url("receipt", proposal) in mail.body


def test_a_receipt_says_when_what_is_stored_is_no_longer_what_came_in(stage: Stage) -> None:
    proposal = stage.submitted()
    ProposalVersion.objects.update(content={**proposal.versions.get().content, "title": "Another"})
    assert "no longer has this hash" in browser(stage.cast.owner).get(url("receipt", proposal)).content.decode()


def test_the_difference_is_word_by_word_in_texts_and_field_by_field_elsewhere(stage: Stage) -> None:
    proposal = twice(stage)
    page = browser(stage.cast.officer).get(url("changes", proposal)).content.decode()
    assert "slowly" in page and "Team: Kim" in page
    assert '<ins><span class="visually-hidden">[added: </span> slowly' in page
    assert "Line 1" not in page
    older, newer = proposal.versions.order_by("version")
    changes = {str(change.label): change for change in compare(older.content, newer.content)}
    assert [(span.op, span.text) for span in changes["Plan"].spans] == [
        ("same", "Train it"),
        ("added", " slowly"),
        ("same", "."),
    ]
    with translation.override("ko"):
        assert any(str(change.label) == "수행 계획" for change in compare(older.content, newer.content))


@pytest.mark.usefixtures("english")
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([{"gpus": 4}], [{"gpus": 8}], ["Line 1 · GPUs"]),
        ([{"gpus": 4}, {"gpus": 5}], [{"gpus": 5}], ["Line 1"]),
        ([{"gpus": 4}], [{"gpus": 4}, {"gpus": 1000}], ["Line 2"]),
        ([{"gpus": 4}], [{"gpus": 4}], []),
    ],
)
def test_rows_are_matched_by_what_stays_the_same(before: Any, after: Any, words: list[str]) -> None:
    changes = compare({"lines": before}, {"lines": after})
    assert [str(change.label) for change in changes] == words


def test_long_texts_are_compared_in_no_time() -> None:
    old = " ".join(f"word{n}" for n in range(3_500))
    new = " ".join(f"word{n * 3 % 3_500}" for n in range(3_500))
    begun = time.perf_counter()
    spans = spans_of(old[:20_000], new[:20_000])
    assert time.perf_counter() - begun < 2
    assert "".join(span.text for span in spans if span.op != "added") == old[:20_000]
    for old, new in (
        ("\n" * 20_000, "\n" * 19_999 + "x"),
        ("a\nb\n" * 450, "b\na\n" * 449),
        ("a b " * 990, "b a " * 980),
    ):
        begun = time.perf_counter()
        assert "".join(span.text for span in spans_of(old, new) if span.op != "removed") == new
        assert time.perf_counter() - begun < 2


@pytest.mark.parametrize("query", ["", "?from=1&to=2", "?from=2&to=1", "?from=x&to=99999999999999999999", "?to=1"])
def test_any_two_can_be_chosen_and_nonsense_gives_the_last_two(stage: Stage, query: str) -> None:
    assert browser(stage.cast.owner).get(url("changes", twice(stage), query)).status_code == 200


@pytest.mark.parametrize("name", ["receipt", "receipt-content", "changes"])
def test_others_find_nothing_and_pages_stay_within_their_queries(stage: Stage, name: str) -> None:
    proposal = twice(stage)
    assert browser(stage.cast.outsider).get(url(name, proposal)).status_code == 404
    assert browser(stage.cast.reviewer).get(url(name, proposal)).status_code == 404
    client = browser(stage.cast.officer)
    assert len(queries_of(lambda: client.get(url(name, proposal)))) <= MOST_A_PAGE


def test_a_draft_has_no_receipt_and_unknown_submissions_are_not_found(stage: Stage) -> None:
    client = browser(stage.cast.owner)
    assert client.get(url("receipt", stage.draft())).status_code == 404
    assert client.get(url("receipt", stage.submitted(), "?version=7")).status_code == 404
