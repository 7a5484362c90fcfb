"""XID policy: the built-in rules, a site's own over them, repeats, and who may change them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from audit.models import AuditEvent
from cluster.models import Device, DeviceEvent, XidPolicy
from cluster.services import policies
from cluster.xids import DEFAULTS
from common.errors import Forbidden, RuleBroken
from tests.cluster.site import Speaker
from tests.factories.cast import Cast

pytestmark = pytest.mark.django_db


def tell(speaker: Speaker, *xids: int, ago: float = 0.0) -> Device:
    """The node tells of XIDs on its first device, as they then stand."""
    events = [
        {"uuid": speaker.uuids[0], "kind": "xid", "detail": {"xid": xid}, "at": time.time() - ago} for xid in xids
    ]
    assert speaker.post("events/", {"events": events}).data == {"accepted": len(xids)}
    return Device.objects.get(uuid=speaker.uuids[0])


def own_rule(cast: Cast, **changes: Any) -> XidPolicy:
    """An operator's rule for XID 13."""
    rule = {"xid": 13, "level": "drain", "tell_partner": False, "repeat_count": None, "repeat_days": None, "note": ""}
    return policies.change(actor=cast.operator, **{**rule, "reason": "as we see it", **changes})


@pytest.mark.parametrize(
    ("xid", "health"),
    [
        *((13, "ok"), (31, "ok"), (43, "ok"), (48, "drain"), (63, "warn"), (64, "drain"), (74, "drain")),
        *((79, "fail"), (94, "warn"), (95, "drain"), (119, "drain"), (154, "ok"), (9999, "warn")),
    ],
)
def test_each_xid_gives_the_health_of_its_rule(speaker: Speaker, xid: int, health: str) -> None:
    speaker.hello()
    device = tell(speaker, xid)
    assert (device.health, device.health_reasons) == (health, [] if health == "ok" else [f"xid_{xid}"])
    assert DeviceEvent.objects.get(kind="xid").partner_told is not policies.rule_for(xid).tell_partner


def test_an_operators_rule_goes_before_the_built_in_one(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    policy = own_rule(cast)
    assert tell(speaker, 13).health == "drain"
    changes = AuditEvent.objects.get(verb="xid_policy.change").changes
    assert changes["xid"] == 13 and changes["level"] == ["ok", "drain"]
    policies.forget(actor=cast.operator, policy=policy, reason="it was too strict")
    assert policies.rule_for(13) == DEFAULTS[13] and AuditEvent.objects.filter(verb="xid_policy.forget").exists()


def test_repeats_within_their_days_drain_and_older_ones_do_not_count(speaker: Speaker, cast: Cast) -> None:
    speaker.hello()
    own_rule(cast, xid=63, level="ok", repeat_count=3, repeat_days=7)
    tell(speaker, 63, ago=8 * 86_400)
    assert tell(speaker, 63).health == "ok"
    assert tell(speaker, 63).health == "ok"
    assert tell(speaker, 63).health == "drain"


def test_half_a_rule_about_repeats_is_refused(cast: Cast) -> None:
    with pytest.raises(RuleBroken) as refused:
        own_rule(cast, repeat_count=3)
    assert refused.value.field == "repeat_days" and not XidPolicy.objects.exists()


def test_only_operators_change_the_rules(cast: Cast) -> None:
    for person in (cast.officer, cast.auditor, cast.owner):
        with pytest.raises(Forbidden):
            none = {"repeat_count": None, "repeat_days": None}
            policies.change(actor=person, xid=13, level="ok", tell_partner=True, **none, reason="mine")
