"""The capacity board's pages and its API: one form, the same figures, and nothing is saved by looking."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from allocations.services import envelopes, operating
from cluster.models import Node
from common.actors import SEED
from proposals.services import decisions
from tests.factories import AllocationFactory, PoolFactory, make_cast, make_node
from tests.proposals.stage import make_stage
from tests.queries import MOST_A_PAGE, queries_of
from tests.reports.board_stage import DAY, BoardStage, make_board_stage

pytestmark = pytest.mark.django_db
PAGE, API = "/staff/capacity/", "/api/v1/capacity/"


@pytest.fixture
def stage() -> Iterator[BoardStage]:
    with timezone.override(ZoneInfo("Asia/Seoul")):
        yield make_board_stage()


def sign_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def days(stage: BoardStage, count: int = 3) -> dict[str, str]:
    return {"step": "day", "start": stage.monday.isoformat(), "until": (stage.monday + count * DAY).isoformat()}


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}details/", API, f"{API}details/"])
def test_the_board_does_not_exist_for_partners_and_reviewers(stage: BoardStage, address: str) -> None:
    for name in ("owner", "outsider", "reviewer"):
        assert sign_in(getattr(stage.cast, name)).get(address).status_code == 404
    for name in ("officer", "operator", "auditor", "administrator"):
        assert sign_in(getattr(stage.cast, name)).get(address).status_code == 200


def test_page_csv_and_api_say_the_same(stage: BoardStage) -> None:
    stage.book(stage.big, 5, 0, 1)
    stage.promise(14, 1, 2)
    client = sign_in(stage.cast.officer)
    page = client.get(PAGE, days(stage)).content.decode()
    assert "h100-a" in page and "board-over" in page and "2 GPUs too many" in page
    lines = list(
        csv.DictReader(io.StringIO(client.get(PAGE, days(stage) | {"format": "csv"}).getvalue().decode("utf-8-sig")))
    )
    assert [(line["Booked"], line["Promised"], line["Over-committed"], line["Used, mean"]) for line in lines] == [
        ("5", "0", "0", ""),
        ("0", "14", "2", ""),
        ("0", "0", "0", ""),
    ]
    body = client.get(API, days(stage)).json()
    (row,) = body["rows"]
    assert [(each["now"]["booked"], each["now"]["promised"], each["now"]["over"]) for each in row["buckets"]] == [
        (5, 0, 0),
        (0, 14, 2),
        (0, 0, 0),
    ]
    assert (body["zone"], body["what_if"], row["pools"]) == ("Asia/Seoul", None, [stage.pool.public_id])
    assert row["buckets"][0]["changed"] is None and row["buckets"][0]["now"]["used_mean"] is None


def test_pools_and_classes_can_be_chosen(stage: BoardStage) -> None:
    PoolFactory(name="h100-b", gpu_class=stage.pool.gpu_class)
    client = sign_in(stage.cast.officer)
    names = lambda **said: [row["name"] for row in client.get(API, days(stage) | said).json()["rows"]]  # noqa: E731
    assert names() == ["h100-a", "h100-b"]
    assert names(pool=stage.pool.public_id) == ["h100-a"]
    assert names(rows="class") == [stage.pool.gpu_class.name]
    assert names(gpu_class=stage.pool.gpu_class.code, rows="class") == [stage.pool.gpu_class.name]


def test_a_what_if_stands_beside_todays_figures_and_can_be_reloaded(stage: BoardStage) -> None:
    stage.promise(10, 0, 3)
    said = days(stage) | {"remove": "gpu-small", "remove_on": (stage.monday + DAY).isoformat()}
    client = sign_in(stage.cast.operator)
    page = client.get(PAGE, said).content.decode()
    assert "→ <strong>8</strong>" in page and "Who would clash" in page and "GPUs too many (today 0)" in page
    assert 'value="gpu-small"' in page
    body = client.get(API, said).json()
    assert [row["changed"]["over"] for row in body["rows"][0]["buckets"]] == [0, 2, 2]
    (clash,) = body["what_if"]["clashes"]
    assert (clash["over"], clash["before"], clash["claims"][0]["gpus"]) == (2, 0, 10)


def test_every_kind_of_change_is_answered_and_nothing_is_written(stage: BoardStage) -> None:
    award = stage.promise(12, -9, 90)
    lease, other = (stage.book(node, 2, 1, 2, allocation=award) for node in (stage.small, stage.big))
    later = stage.promise(3, 5, 9)
    window = stage.close(stage.big, 20, 21)
    to = timezone.localtime(stage.at(6)).strftime("%Y-%m-%dT%H:%M")
    said: dict[str, Any] = days(stage, 30) | {
        "remove": "gpu-small",
        "add": "64",
        "add_pool": stage.pool.public_id,
        "move": [f"{other.public_id}@{to}", f"{window.public_id}@{to}"],
        "move_what": later.public_id,
        "move_to": to,
    }
    client = sign_in(stage.cast.officer)
    for address in (PAGE, API):
        statements = queries_of(lambda address=address: client.get(address, said))  # type: ignore[misc]
        assert client.get(address, said).status_code == 200
        assert not [sql for sql in statements if sql.split(None, 1)[0].upper() not in ("SELECT", "WITH", "DECLARE")], (
            address
        )
    body = client.get(API, said).json()["what_if"]
    assert [row["ref"] for row in body["moved"]] == [other.public_id, window.public_id, later.public_id]
    assert [row["lease"] for row in body["found_others"]] == [lease.public_id]
    for row in (lease, other, later, window):
        before = row.__dict__.copy()
        row.refresh_from_db()
        assert {name: row.__dict__[name] for name in before if name in row.__dict__ and name[0] != "_"} == {
            name: value for name, value in before.items() if name in row.__dict__ and name[0] != "_"
        }


def test_the_decision_page_leads_to_the_board_with_its_proposal() -> None:
    asking = make_stage()
    proposal = asking.submitted(asking.line(gpus=12, smallest_gpus=2, window_until=asking.today + 200 * DAY))
    client = sign_in(asking.cast.officer)
    url = f"{PAGE}?approve={proposal.public_id}"
    assert url in client.get(reverse("proposals:award", args=[proposal.public_id])).content.decode()
    answer = client.get(url)
    page = answer.content.decode()
    assert "at most 8 of 12 GPUs" in page and f'value="{proposal.public_id}" checked' in page
    assert answer.context["scope"].end >= timezone.now() + 199 * DAY
    sized = client.get(API, {"approve": f"{proposal.public_id}:5"}).json()["what_if"]["promises"]
    assert [(row["gpus"], row["fits"], row["at_most"]) for row in sized] == [(5, True, 8)]
    assert (
        client.get(API, {"approve": proposal.public_id, "at_most": "4"}).json()["what_if"]["promises"][0]["gpus"] == 4
    )


BAD: list[tuple[dict[str, str], str]] = [
    ({"until": "2099-01-01"}, "within ten years"),
    ({"start": "2027-01-04", "until": "2029-01-04"}, "a year at most"),
    ({"start": "2027-01-04", "until": "2027-01-04"}, "later than the first"),
    ({"start": "yesterday"}, "valid date"),
    ({"pool": "pool-zzzzzzz"}, "valid choice"),
    ({"step": "second"}, "valid choice"),
    ({"add": "-4"}, "greater than or equal to 1"),
    ({"add": "64"}, "to which pool"),
    ({"approve": "prop-zzzzzzz"}, "no such proposal: prop-zzzzzzz"),
    ({"approve": "prop-zzzzzzz:0"}, "no such proposal"),
    ({"remove": "gpu-none"}, "no such node: gpu-none"),
    ({"move": "lease-a"}, "when lease-a would begin"),
    ({"move": "lease-a@soon"}, "a date and a time"),
    ({"move_what": "lease-a"}, "when it would begin"),
    ({"move": "lease-zzz@2027-01-14T09:00"}, "There is no reservation"),
    ({"move": "lease-zzz@2020-01-14T09:00"}, "only be moved into the future"),
    ({"move_what": "node-zzz", "move_to": "2099-01-14T09:00"}, "There is no reservation"),
]


@pytest.mark.parametrize(("said", "told"), BAD)
def test_what_cannot_be_shown_is_said_and_today_is_shown(stage: BoardStage, said: dict[str, str], told: str) -> None:
    client = sign_in(stage.cast.officer)
    answer = client.get(PAGE, said)
    page = answer.content.decode().replace("&#x27;", "'")
    assert answer.status_code == 422 and told in page and "h100-a" in page
    problem = client.get(API, said)
    assert problem.status_code in (400, 422) and problem["Content-Type"].startswith("application/problem+json")
    assert told in problem.content.decode()
    assert client.get(PAGE, said | {"format": "csv"}).status_code == 422


def test_a_size_that_is_no_number_is_refused() -> None:
    asking = make_stage()
    proposal = asking.submitted()
    client = sign_in(asking.cast.officer)
    for size in ("0", "-3", "x", "9" * 30, "²"):
        answer = client.get(API, {"approve": f"{proposal.public_id}:{size}"})
        assert answer.status_code == 400 and "no number of GPUs" in answer.json()["errors"]["approve"][0]


def test_what_lies_behind_a_cell_is_named(stage: BoardStage) -> None:
    award = stage.promise(6, 0, 2)
    lease = stage.book(stage.big, 3, 0, 1, allocation=award)
    stage.book(stage.big, 2, 1, 2, allocation=award)
    window = stage.close(stage.small, 0, 1)
    Node.objects.filter(pk=stage.small.pk).update(state="draining")
    client = sign_in(stage.cast.auditor)
    page = client.get(f"{PAGE}details/", days(stage, 1)).content.decode()
    for told in (lease.public_id, award.get_absolute_url(), "fans", "gpu-small/3", f"move_what={lease.public_id}"):
        assert told in page
    body = client.get(f"{API}details/", days(stage, 1)).json()
    assert [row["ref"] for row in body["promised"]] == [award.public_id]
    assert [row["lease"] for row in body["booked"]] == [lease.public_id]
    assert (body["booked_total"], body["ill_total"], body["maintenance"]) == (1, 4, [window.public_id])
    assert client.get(f"{PAGE}details/", {"pool": "none"}).status_code == 422
    assert f"{PAGE}details/?pool={stage.pool.public_id}&amp;step=day&amp;start=" in client.get(PAGE).content.decode()


def test_many_rows_are_shown_on_several_pages(stage: BoardStage) -> None:
    for number in range(4):
        PoolFactory(name=f"pool-{number}")
    client = sign_in(stage.cast.officer)
    said = days(stage, 300)
    first, second, far = (client.get(PAGE, said | {"page": page}) for page in ("1", "2", "999"))
    assert [row["group"].name for row in first.context["rows"]] == ["h100-a", "pool-0"]
    assert [row["group"].name for row in second.context["rows"]] == ["pool-1", "pool-2"]
    assert [row["group"].name for row in far.context["rows"]] == ["pool-3"]


def test_a_page_without_a_pool_says_so() -> None:
    answer = sign_in(make_cast().officer).get(PAGE)
    assert answer.status_code == 200 and "No pool is in this selection." in answer.content.decode()


def test_its_pages_cost_the_same_with_one_pool_and_with_fifty(stage: BoardStage) -> None:
    client = sign_in(stage.cast.officer)
    addresses = [(PAGE, {"remove": "gpu-small"}), (PAGE, {}), (API, {}), (f"{PAGE}details/", days(stage))]
    stage.book(stage.small, 1, 0, 1)

    def cost() -> list[int]:
        return [len(queries_of(lambda a=a, s=s: client.get(a, s))) for a, s in addresses]  # type: ignore[misc]

    few = cost()
    for number in range(50):
        pool = PoolFactory(name=f"p-{number}")
        node = make_node(pool, 1)
        award = AllocationFactory(project=stage.cast.project, pool=pool)
        stage.book(node, 1, 0, 1, allocation=award)
        stage.book(stage.small, 1, 2 + number, 3 + number, allocation=award)
        stage.close(node, 2, 4)
    assert cost() == few
    assert max(few[1:]) <= MOST_A_PAGE


def test_a_returned_proposal_may_say_any_day_without_harm() -> None:
    asking = make_stage()
    proposal = asking.submitted()
    decisions.return_for_changes(actor=asking.cast.officer, proposal=proposal, reason="which days?")
    proposal.lines.update(window_until=date.max)
    client = sign_in(asking.cast.officer)
    for address in (PAGE, API):
        assert client.get(address, {"approve": proposal.public_id}).status_code == 200
    proposal.lines.update(window_from=date.max)
    for address in (PAGE, API):
        assert client.get(address, {"approve": proposal.public_id}).status_code == 422


def test_a_guarantee_that_cannot_be_kept_is_named_with_its_award_and_its_end(stage: BoardStage) -> None:
    award = stage.promise(12, 0, 3)
    envelope = envelopes.hold(
        actor=SEED,
        pool=stage.pool,
        organisation=award.project.organisation,
        gpus=12,
        starts_at=award.valid_from,
        ends_at=award.valid_until,
        award_ref="prop-kept",
    )
    client = sign_in(stage.cast.operator)
    assert "broken-promises" not in client.get(PAGE, days(stage)).content.decode()
    envelopes.attach(actor=SEED, envelope=envelope, allocation=award)
    announced = {"node": stage.small, "starts_at": stage.at(1), "ends_at": stage.at(1.5), "reason": "fans"}
    operating.announce_maintenance(actor=stage.cast.operator, **announced, force=True)
    page = client.get(PAGE, days(stage)).content.decode()
    assert "4 of 12 guaranteed GPUs are missing from" in page and award.get_absolute_url() in page
    (row,) = client.get(API, days(stage)).json()["broken_promises"]
    assert (row["award"], row["allocation"], row["guaranteed"], row["missing"]) == ("prop-kept", award.public_id, 12, 4)
    assert [datetime.fromisoformat(row[key]) for key in ("since", "until")] == [stage.at(1), stage.at(1.5)]

    owner = sign_in(stage.cast.owner)
    page = owner.get(award.get_absolute_url()).content.decode()
    assert "4 of the 12 guaranteed GPUs are out of service" in page and "You need to do nothing" in page
    assert owner.get(f"/api/v1/allocations/{award.public_id}/shortfalls/").json() == [
        {key: row[key] for key in ("since", "until", "guaranteed", "missing")}
    ]
