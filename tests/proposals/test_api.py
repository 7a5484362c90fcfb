"""The API of proposals: the same verbs, the same refusals."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
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


def test_team_answers_and_files_travel_with_a_proposal(stage: Stage) -> None:
    owner = api(stage.cast.owner)
    number = stage.call.questions.create(place=0, kind="number", label_ko="수", label_en="Number")
    file = stage.call.questions.create(place=1, kind="file", label_ko="파일", label_en="File")
    person = {"name": "Kim", "part": "Lead", "email": "", "experience": ""}
    given = body(stage, team=[person], answers=[{"question": number.public_id, "value": 1.25}])
    made = owner.post(ROOT, given, format="json")
    assert made.status_code == 201, made.content
    assert [dict(row) for row in made.data["team"]] == [person]
    assert made.data["answers"][0]["value"] == "1.25"
    one = f"{ROOT}{made.data['id']}/"
    kept = owner.put(one, body(stage), format="json")
    assert kept.data["team"] and kept.data["answers"] and kept.data["revision"] == made.data["revision"] + 1
    upload = {"file": SimpleUploadedFile("계획.pdf", b"%PDF-1.7"), "question": file.public_id}
    sent = owner.post(f"{one}attach/", upload, format="multipart")
    assert (sent.status_code, sent.data["name"], sent.data["kind"]) == (201, "계획.pdf", "pdf")
    address = f"/api/v1/attachments/{sent.data['id']}/"
    assert b"".join(owner.get(f"{address}file/").streaming_content) == b"%PDF-1.7"
    assert api(stage.cast.outsider).get(address).status_code == 404
    assert api(stage.cast.viewer).delete(address).status_code == 403
    assert owner.delete(address).status_code == 204
    assert owner.get(f"{one}attachments/").data == []
    for wrong in ("x", True, [], {}, 10**16):
        answers = [{"question": number.public_id, "value": wrong}]
        assert owner.put(one, body(stage, answers=answers), format="json").status_code == 422


def test_a_copy_that_was_read_before_somebody_saved_is_refused(stage: Stage) -> None:
    owner, manager = api(stage.cast.owner), api(stage.cast.manager)
    made = owner.post(ROOT, body(stage), format="json")
    one = f"{ROOT}{made.data['id']}/"
    assert manager.put(one, body(stage, title="Hers", revision=made.data["revision"]), format="json").status_code == 200
    late = owner.put(one, body(stage, title="Mine", revision=made.data["revision"]), format="json")
    assert (late.status_code, late.data["code"]) == (409, "overtaken")


def test_versions_differences_and_copies(stage: Stage) -> None:
    owner, officer = api(stage.cast.owner), api(stage.cast.officer)
    proposal = stage.submitted()
    one = f"{ROOT}{proposal.public_id}/"
    assert officer.get(f"{one}changes/").status_code == 422
    officer.post(f"{one}return/", {"reason": "More."}, format="json")
    owner.put(one, body(stage, plan="Train it well.", reply="Said how."), format="json")
    owner.post(f"{one}submit/")
    versions = officer.get(f"{one}versions/").data
    assert [(row["version"], row["reply"]) for row in versions] == [(2, "Said how."), (1, "")]
    changes = officer.get(f"{one}changes/?from=1&to=2").data["changes"]
    assert {"op": "added", "text": " well"} in changes[0]["spans"]
    copied = owner.post(f"{one}copy/", {"call": stage.call.public_id}, format="json")
    assert copied.status_code == 201 and Proposal.objects.get(public_id=copied.data["id"]).state == "draft"
