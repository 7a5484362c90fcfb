"""The API of proposals: the same verbs, the same refusals."""

from typing import Any

from rest_framework.test import APIClient

from partners.models import Agreement
from proposals.models import Proposal
from tests.factories import AgreementFactory
from tests.proposals.stage import HOUR, Stage

ROOT = "/api/v1/proposals/"


def api(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def body(stage: Stage, **changes: Any) -> dict[str, Any]:
    content = stage.content()
    lines = [
        vars(line) | {"window_from": str(line.window_from), "window_until": str(line.window_until)}
        for line in content.lines
    ]
    return {
        "call": stage.call.public_id,
        "agreement": stage.cast.agreement.public_id,
        "title": content.title,
        "purposes": content.purposes,
        "plan": content.plan,
        "lines": lines,
        **changes,
    }


def test_the_whole_way_from_draft_to_project(stage: Stage) -> None:
    owner, officer = api(stage.cast.owner), api(stage.cast.officer)
    made = owner.post(ROOT, body(stage), format="json")
    assert made.status_code == 201, made.content
    one = f"{ROOT}{made.data['id']}/"
    changed = owner.put(one, body(stage, title="Better title"), format="json")
    assert changed.data["title"] == "Better title"
    assert officer.get(one).status_code == 404
    sent = owner.post(one + "submit/")
    assert sent.data["state"] == "submitted"
    assert officer.post(one + "start_review/").data["state"] == "in_review"
    line = sent.data["lines"][0]
    given = {
        "request_line": line["id"],
        "pool": stage.pool.public_id,
        "gpus": 2,
        "gpu_seconds": 100 * HOUR,
        "window_from": f"{line['window_from']}T00:00:00+09:00",
        "window_until": f"{line['window_until']}T00:00:00+09:00",
    }
    refused = officer.post(one + "award/", {"lines": [given]}, format="json")
    assert (refused.status_code, refused.data["code"], refused.data["field"]) == (422, "reason_needed", "reason")
    awarded = officer.post(one + "award/", {"lines": [given], "reason": "Scarce."}, format="json")
    assert awarded.data["decisions"][0]["lines"][0]["gpus"] == 2
    project = owner.post(one + "accept/")
    assert project.status_code == 201
    assert api(stage.cast.viewer).get(f"/api/v1/projects/{project.data['id']}/team/").data["count"] == 1
    assert owner.post(one + "accept/").status_code == 409


def test_a_broken_ceiling_is_a_problem_with_figures(stage: Stage) -> None:
    Agreement.objects.update(ceiling_gpu_seconds=100 * HOUR)
    owner = api(stage.cast.owner)
    made = owner.post(ROOT, body(stage), format="json")
    answer = owner.post(f"{ROOT}{made.data['id']}/submit/")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.data["facts"]["left"] == "100.00"
    assert answer.data["field"] == "lines.0.hours"


def test_bad_bodies_are_400_or_422_and_foreign_ids_404(stage: Stage) -> None:
    owner = api(stage.cast.owner)
    line = body(stage)["lines"][0]
    for wrong, code in (
        ({"title": ""}, 400),
        ({"title": "\u0000"}, 400),
        ({"purposes": ["x"]}, 400),
        ({"lines": [line | {"gpus": 0}]}, 400),
        ({"lines": [line | {"gpus": "many"}]}, 400),
        ({"lines": [line | {"window_from": "yesterday"}]}, 400),
        ({"lines": [line] * 11}, 400),
        ({"lines": "no list"}, 400),
        ({"lines": [line | {"gpu_class": "b300"}]}, 422),
        ({"lines": [line | {"window_from": "2020-01-01"}]}, 422),
        ({"lines": [line | {"hours": 99_999}]}, 422),
        ({"call": "call-nosuch"}, 404),
        ({"agreement": AgreementFactory().public_id}, 404),
    ):
        answer = owner.post(ROOT, body(stage, **wrong), format="json")
        assert answer.status_code == code, (wrong, answer.content)
    assert not Proposal.objects.exists()


def test_outsiders_find_nothing_and_viewers_may_not(stage: Stage) -> None:
    proposal = stage.awarded()
    one = f"{ROOT}{proposal.public_id}/"
    for who in (stage.cast.outsider, stage.cast.reviewer):
        assert api(who).get(one).status_code == 404
        assert api(who).get(ROOT).data["count"] == 0
        for verb in ("submit", "withdraw", "accept", "refuse", "start_review", "award", "decline", "return"):
            assert api(who).post(f"{one}{verb}/", {"reason": "x", "lines": []}, format="json").status_code == 404
    for verb in ("withdraw", "accept", "refuse", "start_review", "decline", "return"):
        assert api(stage.cast.viewer).post(f"{one}{verb}/", {"reason": "x"}, format="json").status_code == 403
    assert APIClient().get(ROOT).status_code in (401, 403)


def test_calls_and_projects_list(stage: Stage) -> None:
    assert api(stage.cast.outsider).get("/api/v1/calls/").data["results"][0]["is_open"] is True
    assert api(stage.cast.outsider).get("/api/v1/projects/").data["count"] == 0
    assert api(stage.cast.teammate).get("/api/v1/projects/").data["count"] == 1
