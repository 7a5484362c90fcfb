"""MIG instances as devices: what a node names becomes rows of their own, a layout is ordered and answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import AuditEvent
from cluster.mig import COMPUTE_SLICES, TABLES, arrange, profiles_of
from cluster.models import Device, DeviceEvent, NodeCommand
from cluster.selectors import bookable_devices, profiles_in
from cluster.services import layouts
from cluster.services.commands import expire_late
from cluster.services.devices import move_together
from common.actors import SEED
from common.errors import RuleBroken, WrongState
from tests.cluster.site import H100, Speaker, checks

pytestmark = pytest.mark.django_db
H100_PROFILES = profiles_of(H100)


def instance(uuid: str, profile: str = "1g.10gb", start: int | None = 0, size: int = 1) -> dict[str, Any]:
    """An instance as a node names it."""
    return {
        "uuid": uuid,
        "profile": profile,
        "gpu_instance": 7 + (start or 0),
        "compute_instance": 0,
        "memory_mib": 9_984 * size,
        "start": start,
        "size": None if start is None else size,
        "of": 8,
    }


def hello_with(speaker: Speaker, *instances: dict[str, Any], **changes: Any) -> None:
    """A hello in which the first GPU is cut; the cut GPU fails its check, as on a node."""
    body = speaker.hello_body(**{"checks": checks(speaker.uuids, bad=(speaker.uuids[0],)), **changes})
    body["devices"][0] |= {"mig_enabled": True, "mig_instances": list(instances)}
    assert speaker.post("hello/", body).status_code == 200
    speaker.node.refresh_from_db()


def gpu_of(speaker: Speaker) -> Device:
    """The first GPU."""
    return Device.objects.get(uuid=speaker.uuids[0])


def ordered(speaker: Speaker, *names: str) -> NodeCommand:
    """An operator's layout, on its way to the node."""
    gpu = gpu_of(speaker)
    layouts.order(actor=SEED, gpu=gpu, layout=layouts.layout_of(gpu, names), reason="small jobs")
    return NodeCommand.objects.get(verb="partition", state="pending")


def answered(speaker: Speaker, command: NodeCommand, *instances: dict[str, Any]) -> None:
    """The node has made it."""
    assert speaker.answer(command, result={"instances": list(instances)}).status_code == 200


def there(profile: str | None = "1g.10gb") -> list[str]:
    """UUIDs of what may be promised."""
    pool = Device.objects.earliest("pk").node.pool
    return sorted(bookable_devices(pool, profile=profile).values_list("uuid", flat=True))


def test_layouts_are_packed_and_what_cannot_be_is_refused() -> None:
    assert arrange(H100_PROFILES, ["1g.10gb"] * 7) == tuple(("1g.10gb", slot) for slot in range(7))
    assert arrange(H100_PROFILES, ["1g.10gb", "3g.40gb", "2g.20gb"]) == (
        ("3g.40gb", 0),
        ("2g.20gb", 4),
        ("1g.10gb", 6),
    )
    assert arrange(H100_PROFILES, ["3g.40gb", "4g.40gb"]) == (("4g.40gb", 0), ("3g.40gb", 4))
    kept = arrange(H100_PROFILES, ["3g.40gb", "1g.10gb"], (("1g.10gb", 2), ("2g.20gb", 4)))
    assert kept == (("1g.10gb", 2), ("3g.40gb", 4)), "what is there stays where it is"
    for wrong in (["1g.10gb"] * 8, ["4g.40gb", "4g.40gb"], ["9g.90gb"], ["7g.80gb", "1g.10gb"], ["1g.10gb+me"] * 2):
        assert arrange(H100_PROFILES, wrong) is None, wrong
    assert arrange(H100_PROFILES, []) == ()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_fills_a_gpu_with_each_of_its_profiles(name: str) -> None:
    for profile in profiles_of(name):
        found = arrange(profiles_of(name), [profile.name] * profile.most)
        assert found is not None and len(found) == profile.most
        assert profile.compute * profile.most <= COMPUTE_SLICES


def test_an_instance_becomes_a_device_that_is_checked_and_the_gpu_is_not_lent_whole(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"), instance("MIG-2", start=1))
    gpu, first = gpu_of(speaker), Device.objects.get(uuid="MIG-1")
    assert (first.parent, first.profile, first.gpu_class, first.state) == (gpu, "1g.10gb", gpu.gpu_class, "cleaning")
    assert (first.slices.lower, first.slices.upper, str(first)) == (0, 1, "gpu-01/0:0")
    assert gpu.is_cut and there("") == [speaker.uuids[1]], "the cut GPU is not lent whole"
    assert gpu.state != "quarantined", "that it fails a check made for whole GPUs is no fault"
    answer = speaker.heartbeat()
    assert set(answer["check"]) == {"MIG-1", "MIG-2"}
    speaker.heartbeat(checks=checks(["MIG-1", "MIG-2"]))
    assert there() == ["MIG-1", "MIG-2"] and list(profiles_in(speaker.node.pool)) == ["1g.10gb"]


def test_instances_that_nobody_ordered_wait_for_an_operator_later_on(speaker: Speaker) -> None:
    speaker.hello()
    hello_with(speaker, instance("MIG-1"))
    assert Device.objects.get(uuid="MIG-1").awaiting_confirmation
    speaker.heartbeat(checks=checks(["MIG-1"]))
    assert there() == []


def test_one_whose_place_nobody_tells_is_not_lent(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1", start=None))
    speaker.heartbeat(checks=checks(["MIG-1"]))
    assert there() == []
    hello_with(speaker, instance("MIG-1", start=3))
    assert there() == ["MIG-1"]


def test_an_instance_that_vanishes_is_lost_and_comes_back_through_cleaning(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"), instance("MIG-2", start=1))
    hello_with(speaker, instance("MIG-2", start=1))
    assert Device.objects.get(uuid="MIG-1").state == "offline"
    hello_with(speaker, instance("MIG-1"), instance("MIG-2", start=1))
    assert Device.objects.get(uuid="MIG-1").state == "cleaning"


def test_a_gpu_that_hangs_keeps_its_instances(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"))
    body = speaker.hello_body(faults=[{"index": 0, "uuid": speaker.uuids[0], "code": "STALLED"}])
    del body["devices"][0]
    assert speaker.post("hello/", body).status_code == 200
    assert Device.objects.get(uuid="MIG-1").state == "cleaning"


def test_the_health_and_the_xids_of_a_gpu_are_those_of_its_instances(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"))
    speaker.heartbeat(devices=[{"uuid": speaker.uuids[0], "health": "warn", "reasons": ["hot"]}])
    small = Device.objects.get(uuid="MIG-1")
    assert (small.health, small.health_reasons) == ("warn", ["hot"])
    event = {"uuid": speaker.uuids[0], "kind": "xid", "detail": {"xid": 48}, "at": timezone.now().timestamp()}
    speaker.post("events/", {"events": [event]})
    small.refresh_from_db()
    assert (small.health, small.xid_level) == ("drain", "drain")
    speaker.heartbeat(devices=[{"uuid": speaker.uuids[0], "health": "ok", "reasons": []}])
    small.refresh_from_db()
    assert small.health == "drain", "an XID stays until it is forgiven"
    other = Device.objects.get(uuid=speaker.uuids[1])
    assert other.health == "ok"


def test_a_gpu_and_its_instances_go_to_quarantine_and_come_back_together(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"))
    speaker.heartbeat(checks=checks(["MIG-1"]))
    gpu, small = gpu_of(speaker), Device.objects.get(uuid="MIG-1")
    move_together("quarantine", actor=SEED, device=gpu, reason="ill")
    small.refresh_from_db()
    assert small.state == "quarantined"
    with pytest.raises(WrongState) as refused:
        move_together("clean", actor=SEED, device=small, reason="one alone")
    assert refused.value.code == "gpu_out_of_service"
    move_together("clean", actor=SEED, device=gpu, reason="well again")
    small.refresh_from_db()
    assert small.state == "cleaning"


def test_a_layout_is_ordered_answered_and_lent(speaker: Speaker) -> None:
    speaker.hello()
    command = ordered(speaker, "3g.40gb", "1g.10gb")
    assert command.payload["layout"] == [["3g.40gb", 0], ["1g.10gb", 4]]
    assert there("") == [speaker.uuids[1]], "not lent whole from the order on"
    with pytest.raises(WrongState) as refused:
        ordered(speaker, "7g.80gb")
    assert refused.value.code == "layout_pending"
    answered(speaker, command, instance("MIG-1", "3g.40gb", 0, 4), instance("MIG-2", "1g.10gb", 4))
    assert not Device.objects.filter(uuid__startswith="MIG", awaiting_confirmation=True).exists()
    assert speaker.answer(command, result={"instances": []}).data["state"] == "done"
    assert Device.objects.filter(parent=gpu_of(speaker), state="cleaning").count() == 2, "a repeat changes nothing"
    speaker.heartbeat(checks=checks(["MIG-1", "MIG-2"]))
    assert there("3g.40gb") == ["MIG-1"] and list(profiles_in(speaker.node.pool)) == ["1g.10gb", "3g.40gb"]
    event = AuditEvent.objects.get(verb="device.partition")
    assert event.changes["layout"] == [[], [["3g.40gb", 0], ["1g.10gb", 4]]]


def test_a_new_layout_keeps_what_it_can_and_retires_the_rest(speaker: Speaker) -> None:
    speaker.hello()
    one, two = instance("MIG-1", "3g.40gb", 0, 4), instance("MIG-2", "1g.10gb", 4)
    answered(speaker, ordered(speaker, "3g.40gb", "1g.10gb"), one, two)
    speaker.heartbeat(checks=checks(["MIG-1", "MIG-2"]))
    command = ordered(speaker, "3g.40gb", "2g.20gb")
    assert command.generation == 2 and there(None) == sorted([speaker.uuids[1], "MIG-1"])
    three = instance("MIG-3", "2g.20gb", 4, 2)
    answered(speaker, command, one, three)
    states = dict(Device.objects.filter(uuid__startswith="MIG").values_list("uuid", "state"))
    assert states == {"MIG-1": "available", "MIG-2": "retired", "MIG-3": "cleaning"}
    answered(speaker, ordered(speaker, "3g.40gb", "1g.10gb"), one, two)
    assert Device.objects.get(uuid="MIG-2").state == "cleaning", "the same place has the same UUID again"
    answered(speaker, ordered(speaker), *())
    assert not gpu_of(speaker).set_aside and there(None) == sorted(speaker.uuids)
    assert set(Device.objects.filter(uuid__startswith="MIG").values_list("state", flat=True)) == {"retired"}


@pytest.mark.parametrize("end", ["failed", "expired"])
def test_a_layout_that_does_not_come_about_leaves_everything_as_it_was(speaker: Speaker, end: str) -> None:
    speaker.hello()
    one = instance("MIG-1", "3g.40gb", 0, 4)
    answered(speaker, ordered(speaker, "3g.40gb"), one)
    speaker.heartbeat(checks=checks(["MIG-1"]))
    command = ordered(speaker)
    assert there("3g.40gb") == []
    if end == "failed":
        speaker.answer(command, "failed", result={"error": "IN_USE"})
    else:
        expire_late(timezone.now() + timedelta(hours=1))
    assert there("3g.40gb") == ["MIG-1"] and gpu_of(speaker).layout == [["3g.40gb", 0]]
    error = DeviceEvent.objects.get(kind="layout_failed").detail["error"]
    assert error == ("IN_USE" if end == "failed" else "expired")


def test_what_a_reboot_took_away_is_ordered_again_once(speaker: Speaker) -> None:
    speaker.hello()
    answered(speaker, ordered(speaker, "1g.10gb", "1g.10gb"), instance("MIG-1"), instance("MIG-2", start=1))
    speaker.boot_id = "boot-2"
    for _hello in range(2):
        hello_with(speaker)
    command = NodeCommand.objects.get(verb="partition", state="pending")
    assert (command.generation, command.payload["layout"]) == (2, [["1g.10gb", 0], ["1g.10gb", 1]])
    assert there("") == [speaker.uuids[1]], "meanwhile the GPU is not lent whole"
    answered(speaker, command, instance("MIG-1"), instance("MIG-2", start=1))
    hello_with(speaker, instance("MIG-1"), instance("MIG-2", start=1))
    assert not NodeCommand.objects.filter(verb="partition", state="pending").exists()
    assert set(Device.objects.filter(parent__isnull=False).values_list("state", flat=True)) == {"cleaning"}


def test_a_gpu_without_mig_and_an_instance_cannot_be_cut(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"))
    gpu, small = gpu_of(speaker), Device.objects.get(uuid="MIG-1")
    with pytest.raises(RuleBroken) as refused:
        layouts.layout_of(small, ["1g.10gb"])
    assert refused.value.code == "no_mig"
    with pytest.raises(RuleBroken) as refused:
        layouts.layout_of(gpu, ["1g.10gb"] * 8)
    assert (refused.value.code, refused.value.facts["offered"]["1g.10gb"]) == ("layout", 7)
    gpu.gpu_class.nvml_name = "NVIDIA L40S"
    with pytest.raises(RuleBroken) as refused:
        layouts.layout_of(gpu, ["1g.10gb"])
    assert refused.value.code == "no_mig"


def test_an_instance_of_another_node_is_noted_and_not_taken(speaker: Speaker) -> None:
    hello_with(speaker, instance("MIG-1"))
    body = speaker.hello_body()
    body["devices"][1]["mig_instances"] = [instance("MIG-1")]
    body["devices"][0]["mig_instances"] = [instance("MIG-1")]
    assert speaker.post("hello/", body).status_code == 200
    assert Device.objects.get(uuid="MIG-1").parent == gpu_of(speaker)
    assert DeviceEvent.objects.filter(kind="uuid_of_another_node").exists()


def test_the_database_knows_gpus_and_instances_and_nothing_between(speaker: Speaker) -> None:
    speaker.hello()
    for wrong in ({"profile": "1g.10gb"}, {"parent": gpu_of(speaker)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Device.objects.filter(uuid=speaker.uuids[1]).update(**wrong)
