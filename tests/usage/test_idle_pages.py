"""Pages and API of idle GPUs: both sides read one course; each may do what is theirs; nothing typed is lost."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from allocations.models import Lease
from telemetry.models import IdlePower
from tests.allocations.conftest import Stage
from tests.allocations.test_api import client
from tests.allocations.test_no_show import measured
from tests.allocations.test_views import sign_in
from tests.queries import MOST_A_PAGE, queries_of
from tests.usage.conftest import HOUR, rule_on
from tests.usage.test_idle_course import clock as clock
from tests.usage.test_idle_course import noticed
from usage.models import IdleCase, IdleRule

FORM = {
    "window_seconds": "4",
    "idle_percent": "95",
    "measured_percent": "90",
    "counts_parked": "on",
    "first_seconds": "24",
    "grace_seconds": "24",
    "answer_seconds": "72",
    "used_again_seconds": "30",
    "takes_part": "on",
    "follows": "propose",
    "returned_percent": "100",
    "reason": "as agreed",
}


def page(user: Any, url: str) -> str:
    answer = sign_in(user).get(url)
    assert answer.status_code == 200, url
    return str(answer.content.decode())


def test_an_officer_writes_tries_and_switches_on_a_rule(stage: Stage) -> None:
    officer = sign_in(stage.cast.officer)
    new = reverse("usage:idle-rule-new")
    refused = officer.post(new, FORM | {"grace_seconds": "0.5", "agreement": "no such"})
    assert refused.status_code == 422 and "as agreed" in refused.content.decode()
    made = officer.post(new, FORM | {"agreement": stage.cast.agreement.number})
    rule = IdleRule.objects.get()
    assert made.status_code == 302 and rule.agreement == stage.cast.agreement and rule.used_again_seconds == 1800
    on = reverse("usage:idle-rule-on", args=[rule.public_id])
    assert officer.post(on, {"reason": "now"}).status_code == 422
    assert officer.post(reverse("usage:idle-rule-try", args=[rule.public_id]), {"days": "30"}).status_code == 302
    assert officer.post(on, {"reason": "the pool is asked for"}).status_code == 302
    IdlePower.objects.create(gpu_class=stage.pool.gpu_class, watts=79, samples=600, learned_at=timezone.now())
    shown = page(stage.cast.auditor, rule.get_absolute_url())
    assert "as agreed" in shown and "the pool is asked for" in shown
    assert ">94<" in shown and ">154<" in shown, "from where on power says use, alone and with a program open"
    assert page(stage.cast.officer, f"{new}?from={rule.public_id}").count(stage.cast.agreement.number)
    assert "idlerule-" in page(stage.cast.operator, reverse("usage:idle-rules"))
    assert sign_in(stage.cast.owner).get(rule.get_absolute_url()).status_code == 404


def test_both_sides_read_the_case_and_each_may_do_its_part(stage: Stage, lease: Lease, clock: Any) -> None:
    rule_on(stage, follows="propose")
    case, now = noticed(lease, clock)
    measured(lease, now + 2 * HOUR)
    clock(now + timedelta(minutes=1))
    url = case.get_absolute_url()
    shown, member = page(stage.cast.teammate, url), sign_in(stage.cast.teammate)
    gpu = case.devices.order_by("device__index")[0].device
    name, evidence = f"{gpu.node.name} / {gpu.place}", shown.split('id="evidence"')[1]
    assert f'data-evidence-line="{name}"' in evidence and evidence.count('tabindex="0"') == 4 and 'fill="#' in evidence
    assert "(KST)" in evidence, "the axis is one of time, and says of which zone"
    file = b"".join(member.get(url, {"format": "csv"}).streaming_content).decode()
    assert len(file.splitlines()) == 5 and name in file
    assert sign_in(stage.cast.outsider).get(url, {"format": "csv"}).status_code == 404
    assert len(queries_of(lambda: member.get(url))) <= MOST_A_PAGE
    appeal = reverse("usage:idle-appeal", args=[case.public_id])
    assert appeal in shown and reverse("usage:idle-stop", args=[case.public_id]) not in shown
    assert appeal not in page(stage.cast.viewer, url)
    assert sign_in(stage.cast.outsider).get(url).status_code == 404
    assert sign_in(stage.cast.teammate).post(appeal, {"reason": " "}).status_code == 422
    assert sign_in(stage.cast.teammate).post(appeal, {"reason": "the data <arrives> tonight"}).status_code == 302
    officer = page(stage.cast.officer, url)
    assert (
        "the data &lt;arrives&gt; tonight" in officer
        and reverse("usage:idle-dismiss", args=[case.public_id]) in officer
    )
    uphold = reverse("usage:idle-uphold", args=[case.public_id])
    assert sign_in(stage.cast.officer).post(uphold, {"answer": "granted", "days": "3"}).status_code == 302
    assert "granted" in page(stage.cast.viewer, url)
    assert case.public_id in page(stage.cast.viewer, reverse("usage:idle-cases"))


def test_the_reservation_tells_of_the_case_and_offers_the_one_click(stage: Stage, lease: Lease, clock: Any) -> None:
    assert lease.active_at
    now = clock(lease.active_at + 2 * HOUR)
    measured(lease, now)
    part = reverse("usage:lease-idle", args=[lease.public_id])
    assert f'hx-get="{part}"' in page(stage.cast.owner, lease.get_absolute_url())
    shown = page(stage.cast.owner, part)
    assert 'id="idle-now"' in shown and shown.count('name="devices"') == 4
    assert 'id="give-back-idle"' not in page(stage.cast.viewer, part)
    assert reverse("usage:lease-breach", args=[lease.public_id]) in page(stage.cast.operator, part)
    offers = reverse("usage:idle-offers")
    assert f'hx-get="{offers}"' in page(stage.cast.owner, "/")
    owner = sign_in(stage.cast.owner)
    first = owner.get(offers).content.decode()
    assert f'data-idle-offer="{lease.public_id}"' in first and first.count('name="devices"') == 4
    assert len(queries_of(lambda: owner.get(offers))) <= MOST_A_PAGE
    part = owner.get(offers, headers={"HX-Request": "true"}).content.decode()
    assert "data-idle-offer" in part and "<html" not in part
    for reader in (stage.cast.viewer, stage.cast.outsider, stage.cast.officer):
        assert "data-idle-offer" not in page(reader, offers)
    url = reverse("usage:lease-release-idle", args=[lease.public_id])
    names = [row.device.public_id for row in lease.placements.order_by("device_id")]
    assert sign_in(stage.cast.owner).post(url, {"devices": names}).status_code == 302
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("draining", "released")


def test_the_api_does_what_the_pages_do(stage: Stage, lease: Lease, clock: Any) -> None:
    officer, owner = client(stage.cast.officer), client(stage.cast.owner)
    made = officer.post("/api/v1/idle-rules/", {"pool": stage.pool.public_id, "reason": "x", "grace_seconds": 7200})
    assert made.status_code == 201 and made.data["scope"] == "pool" and made.data["text"]
    rule = f"/api/v1/idle-rules/{made.data['id']}/"
    assert officer.post(f"{rule}switch-on/", {"reason": "now"}).status_code == 422
    assert officer.post(f"{rule}change/", {"reason": "x", "first_seconds": 0, "follows": "propose"}).status_code == 200
    assert officer.post(f"{rule}try-out/", {}).data["tried"]["leases"] == 0
    on = officer.post(f"{rule}switch-on/", {"reason": "now"}).data
    assert (on["state"], on["reason"], on["on_reason"], on["on_by"]) == ("on", "x", "now", stage.cast.officer.name)
    assert owner.get(rule).status_code == 404 and owner.get("/api/v1/idle-rules/").data["count"] == 0
    case, now = noticed(lease, clock)
    url = f"/api/v1/idle-cases/{case.public_id}/"
    shown = owner.get(url).data
    assert shown["state"] == "noticed" and len(shown["devices"]) == 4 and shown["steps"][0]["kind"] == "detected"
    assert owner.post(f"{url}reply/", {"text": "soon"}).status_code == 200
    assert owner.post(f"{url}appeal/", {"reason": "soon"}).data["state"] == "appealed"
    assert owner.post(f"{url}dismiss/", {"answer": "no"}).status_code == 403
    assert officer.post(f"{url}dismiss/", {"answer": "no"}).data["state"] == "noticed"
    assert officer.post(f"{url}carry-out/", {}).status_code == 409
    assert officer.post(f"{url}stop/", {"reason": "enough", "days": 1}).data["state"] == "stopped"
    assert client(stage.cast.outsider).get(url).status_code == 404
    measured(lease, now)
    idle = f"/api/v1/idle-now/{lease.public_id}/"
    assert len(owner.get(idle).data["devices"]) == 4
    assert client(stage.cast.viewer).get(idle).data["devices"] == [], (
        "as on the page: who may not end it is told nothing"
    )
    assert client(stage.cast.viewer).post(idle, {}, format="json").status_code == 403
    gone = owner.post(idle, {"devices": owner.get(idle).data["devices"][:2]}, format="json")
    assert gone.status_code == 202 and lease.reshapes.get().leaving.count() == 2


def test_a_breach_by_the_page_and_the_api(stage: Stage, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease.active_at
    later: datetime = lease.active_at + HOUR
    monkeypatch.setattr(timezone, "now", lambda: later)
    said = {"kind": "agreement", "reason": "shared with others", "basis": "Art. 3", "grace_seconds": "0"}
    url = reverse("usage:lease-breach", args=[lease.public_id])
    refused = sign_in(stage.cast.officer).post(url, said)
    assert refused.status_code == 422 and "shared with others" in refused.content.decode()
    ask = said | {"lease": lease.public_id, "kind": "security"}
    made = client(stage.cast.operator).post("/api/v1/idle-cases/", ask)
    assert made.status_code == 201 and made.data["state"] == "executing"
    assert IdleCase.objects.get().reason == "shared with others"
    assert client(stage.cast.owner).post("/api/v1/idle-cases/", ask).status_code == 404
