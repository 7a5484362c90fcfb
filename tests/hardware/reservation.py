"""One reservation of this machine's GPU, by the verbs that people use. Needs Django's settings: see lease.py."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import asyncssh
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import User
from accounts.services import add_ssh_key
from agent import nvml
from allocations.models import Allocation, Lease, UsageHour
from allocations.selectors.usage.minutes import minutes
from allocations.services.access import issue_certificate
from allocations.services.booking import book
from allocations.services.ending import release
from cluster.models import Device, DeviceEvent, GpuClass, Pool
from cluster.selectors import grants_of, handovers_of
from cluster.services.nodes import register_node
from common.actors import SEED
from partners.models import Agreement
from partners.services.agreements import AgreementTerms, activate, register_agreement
from partners.services.members import add_member
from partners.services.organisations import register_organisation
from portal.seeding.pdf import text_pdf
from portal.seeding.people import Person, make_person
from portal.seeding.scale import registration_number
from proposals.asks import AskLine, DraftContent
from proposals.awards import AwardAsk
from proposals.models import Call
from proposals.services.answers import accept
from proposals.services.decisions import award, start_review
from proposals.services.drafting import save_draft, submit
from telemetry.models import Sample
from tests.hardware.lease import NODE
from tests.hardware.target import FULL, ROOT, Target

FULL_SECONDS, PARKED_SECONDS, IDLE_SECONDS = 100, 100, 75
"""Each has at least one whole minute of the clock, and the sampler's ten seconds around it."""
PARKED_MIB = 20_000
MAY_ENTER = ("owner", "manager")


class Reservation:
    """A pool of this machine's kind of GPU, an organisation with an award on it, and what becomes of one booking."""

    def __init__(self, target: Target, look: Callable[[], None], record: Callable[[str, Any], None]) -> None:
        """`look` keeps the portal's processes alive while something is waited for."""
        self.target, self._look, self._record = target, look, record
        facts = nvml.inventory().devices[0]
        self.uuid = facts.uuid
        self.kind, _made = GpuClass.objects.get_or_create(
            nvml_name=facts.name, defaults={"code": "this-one", "name": facts.name, "memory_mib": facts.memory_mib}
        )
        self.pool = Pool.objects.create(name="hardware", gpu_class=self.kind)
        _node, self.token = register_node(actor=SEED, name=NODE, pool=self.pool)

    def _award(self) -> Allocation:
        """An agreement, a proposal, an award on one GPU; accepted."""
        organisation = register_organisation(
            actor=SEED, name_ko="빛고을시험", name_en="Trial", registration_number=registration_number(77_000_000)
        )
        users = {}
        for role in MAY_ENTER:
            users[role], _ = make_person(Person(f"{role}@trial.example", role, "trial"), "Trial", {})
            add_member(actor=SEED, organisation=organisation, user=users[role], role=role)
        today = timezone.localdate()
        terms = AgreementTerms(
            number="TRIAL-1", title="시험 협약", signed_on=today, valid_from=today,
            valid_until=today + timedelta(days=90), agency_signatory="A", partner_signatory="B",
            cooperation=[Agreement.Cooperation.values[0]],
            ceiling_gpu_seconds=100 * 3600, ceiling_concurrent_gpus=1, gpu_classes=[self.kind.code],
        )  # fmt: skip
        document = SimpleUploadedFile("trial.pdf", text_pdf(["TRIAL"]), content_type="application/pdf")
        agreement = activate(
            actor=SEED,
            agreement=register_agreement(
                actor=SEED, organisation=organisation, terms=terms, document=document, signed_on_paper=True
            ),
        )
        call = Call.objects.earliest("published_at")
        call.pools.add(self.pool)
        line = AskLine(self.kind.code, 1, 1, 10, today, today + timedelta(days=30))
        content = DraftContent("시험", ["pretraining"], "행렬 곱을 계산합니다.", "없음", [line])
        draft = save_draft(actor=users["manager"], call=call, agreement=agreement, content=content)
        proposal = submit(actor=users["manager"], proposal=draft)
        officer, now = User.objects.get(email="officer@agency.example"), timezone.now()
        start_review(actor=officer, proposal=proposal)
        given = AwardAsk(
            request_line=proposal.lines.get(), pool=self.pool, gpus=1, gpu_seconds=10 * 3600, window_from=now,
            window_until=now + timedelta(days=30), guaranteed_gpus=0,
        )  # fmt: skip
        award(actor=officer, proposal=proposal, lines=[given], reason="시험")
        self.manager: User = users["manager"]
        return accept(actor=users["owner"], proposal=proposal).allocations.get()

    def wait(self, what: str, condition: Callable[[], object], seconds: float) -> None:
        """Until it is so; how long that took is recorded."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{what}: {self._state()}")
            self._look()
        self._record(f"seconds_until_{what}", round(time.monotonic() - began, 1))

    def _state(self) -> str:
        events = DeviceEvent.objects.order_by("-pk").values_list("kind", "detail")[:5]
        return f"{Device.objects.values_list('state', 'health_reasons')[:3]} {list(Lease.objects.values_list('state', 'state_reason'))} {list(events)}"  # noqa: E501

    def walk(self) -> None:
        """Join, booking, handover, work, memory parked, nothing, return, and what the evidence says of each minute."""
        self.wait("joined", lambda: Device.objects.filter(uuid=self.uuid, state="available").exists(), 90)
        allocation = self._award()
        device, now = Device.objects.get(uuid=self.uuid), timezone.now()
        self._record(
            "device", {"kind": device.gpu_class.name, "health": device.health, "reasons": device.health_reasons}
        )
        lease = book(
            actor=self.manager, allocation=allocation, device_count=1, starts_at=now,
            ends_at=now + timedelta(minutes=30), note="시험",
        )  # fmt: skip
        self.wait("handed_over", lambda: self._is(lease, "active"), 90)
        phases = {"handed_over": timezone.now()}
        phases["full"], said = timezone.now(), self._run(lease, FULL, FULL_SECONDS, 0)
        self._record("job_said", said)
        phases["parked"] = timezone.now()
        self._record("parking_said", self._run(lease, "parked", PARKED_SECONDS, PARKED_MIB))
        phases["idle"] = timezone.now()
        self._rest(IDLE_SECONDS)
        phases["released"] = timezone.now()
        self._record("phases", phases)
        self._record("provisional", self._letters(lease))
        lease.refresh_from_db()
        release(actor=self.manager, lease=lease)
        self.wait("ended", lambda: self._is(lease, "ended"), 120)
        self.wait("available_again", lambda: Device.objects.filter(uuid=self.uuid, state="available").exists(), 90)
        self._tell(lease)

    def _is(self, lease: Lease, state: str) -> bool:
        lease.refresh_from_db()
        return lease.state == state

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()

    def _letters(self, lease: Lease) -> str:
        return "".join(each.code for each in minutes(lease, lease.starts_at, timezone.now()))

    def _tell(self, lease: Lease) -> None:
        """What is left of it: evidence, samples, use."""
        self._record("handovers", list(handovers_of(lease.public_id).values("moment", "passed", "checks", "actions")))
        rows = Sample.objects.filter(device__uuid=self.uuid).order_by("at")
        figures = ("at", "utilisation_percent", "sm_active_permille", "power_watts", "memory_used_mib", "process_count")
        self._record("samples", list(rows.values_list(*figures)))
        self._record(
            "hours", list(UsageHour.objects.filter(lease=lease).values("hour", "codes", "rule_version", "energy_j"))
        )
        self._record("lease", {"used_seconds": lease.used_seconds, "charged": lease.ended_at - lease.starts_at})
        self._record("now", asdict(nvml.sample(self.uuid)))
        letters = self._letters(lease)
        assert {"U", "I"} <= set(letters), letters

    def _run(self, lease: Lease, kind: str, seconds: int, mib: int) -> str:
        """Work over SSH, with a certificate of the portal's; what the program said."""
        command = f"cd {shlex.quote(str(ROOT))} && {shlex.join(self.target.command(kind, seconds, mib))}"
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        ssh_key = add_ssh_key(actor=self.manager, name=f"{kind}-{seconds}-{mib}", public_key=raw.decode())
        certificate = issue_certificate(actor=self.manager, lease=lease, ssh_key=ssh_key)
        grant = grants_of(lease.public_id).get()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        keys = [(asyncssh.import_private_key(private), asyncssh.import_certificate(certificate.certificate))]
        return asyncio.run(_over_ssh(grant, keys, command))


async def _over_ssh(grant: Any, keys: Any, command: str) -> str:
    known = ([asyncssh.import_public_key(grant.host_key)], [], [])
    options: Any = {"client_keys": keys, "known_hosts": known, "agent_path": None, "config": None}
    async with asyncssh.connect(grant.host, grant.port, username=grant.login, **options) as client:
        done = await client.run(f"echo $CUDA_VISIBLE_DEVICES; {command}", stdin=asyncssh.DEVNULL)
    return f"{done.exit_status}: {done.stdout} {str(done.stderr)[-500:]}"
