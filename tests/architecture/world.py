"""One object of every noun, and the address that each route has in that world."""

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from allocations.models import Blackout, PoolWeight, WaitEntry
from allocations.selectors.usage.figures import NAMES
from cluster.models import MaintenanceWindow
from partners.models import Invitation
from proposals.models import Call, CallStep, ChangeRequest, Criterion, Decision, ReviewerProfile
from proposals.services import assigning, calls, decisions, declaring, drafting, letters, preparing
from proposals.services.attachments import attach
from proposals.services.reviewers import Expertise, invite
from tests.architecture.routes import Route
from tests.factories import (
    AllocationFactory,
    LeaseFactory,
    OrganisationFactory,
    UserFactory,
    enable_mfa,
    grant_role,
)
from tests.proposals.stage import Stage, make_stage
from usage.models import IdleCase, IdleRule, Statement

CALLS = ("proposals:call", "proposals:call-document", "proposals:call-figures", "proposals:public-call")
"""Of an open call; all the editor's pages are of a draft."""


def _under_review(stage: Stage) -> dict[str, Any]:
    """A proposal of a call of its own at the expert review, opened to the cast's reviewer; another reviewer beside."""
    call = Call.objects.create(title_ko="평가", title_en="Reviewed", published_at=timezone.now())
    call.pools.add(stage.pool)
    Criterion.objects.create(call=call, place=1, label_ko="적합성", label_en="Fit")
    CallStep.objects.create(call=call, kind="expert")
    draft = drafting.save_draft(
        actor=stage.cast.owner, call=call, agreement=stage.cast.agreement, content=stage.content()
    )
    proposal = drafting.submit(actor=stage.cast.owner, proposal=draft)
    decisions.start_review(actor=stage.cast.officer, proposal=proposal)
    profile = ReviewerProfile.objects.create(user=stage.cast.reviewer)
    assignment = assigning.assign(actor=stage.cast.officer, proposal=proposal, reviewer=profile.user)
    assigning.send(actor=stage.cast.officer, call=call)
    declaring.declare(actor=profile.user, assignment=assignment, conflict=False)
    juror = grant_role(UserFactory(email="juror@uni.example.test", name="Juror"), "reviewer")
    enable_mfa(juror)
    return {
        "review": assignment.public_id,
        "reviewer": profile.public_id,
        "reviewer-invitation": _invited(stage).public_id,
        "step": proposal.steps.get().public_id,
        "juror": juror,
    }


def _invited(stage: Stage) -> Any:
    """Somebody who has not joined the pool of reviewers yet."""
    return invite(actor=stage.cast.officer, email="invited@uni.example.test", expertise=Expertise())


def _statement(organisation: Any) -> str:
    """A closed month of nothing."""
    said = {"month": "2026-01", "totals": dict.fromkeys(NAMES, 0), "projects": [], "leases": [], "days": []}
    row = Statement.objects.create(
        number="BG-2026-01-0001",
        organisation=organisation,
        month="2026-01-01",
        text=json.dumps(said),
        sha256="0" * 64,
        held_seconds=0,
        used_seconds=0,
        idle_seconds=0,
        closed_at=timezone.now(),
    )
    return row.public_id


def _idle(cast: Any, allocation: Any) -> dict[str, Any]:
    """A draft of a rule about idle GPUs, and a case of a breach."""
    rule = IdleRule.objects.create(version=1, made_by=cast.officer, reason="x")
    case = IdleCase.objects.create(
        lease=LeaseFactory(allocation=allocation, booked_by=cast.owner),
        kind="agreement",
        reason="x",
        basis="y",
        state="noticed",
        detected_at=timezone.now(),
        noticed_at=timezone.now(),
        due_at="2099-01-01T00:00:00Z",
    )
    return {"idle-rule": rule.public_id, "idle-case": case.public_id}


def make_world() -> dict[str, Any]:
    """One object of every noun, all of the organisation `Upstage`, and the cast."""
    stage = make_stage()
    cast = stage.cast
    proposal = stage.draft()
    attachment = attach(actor=cast.owner, proposal=proposal, upload=SimpleUploadedFile("plan.pdf", b"%PDF-1.7"))
    proposal = drafting.submit(actor=cast.owner, proposal=proposal)
    allocation = AllocationFactory(project=cast.project, pool=stage.pool)
    draft_call = calls.create_call(actor=cast.officer, title_ko="다음 공모", title_en="Next call")
    node = stage.pool.nodes.first()
    assert node
    written = Decision.objects.create(proposal=proposal, kind="hold", reason="x", decided_by=cast.officer)
    return {
        "prepared": preparing.prepare(
            actor=cast.officer, proposal=stage.submitted(), kind="decline", reason="x"
        ).public_id,
        "change-request": ChangeRequest.objects.create(
            allocation=allocation, kind="hours", gpu_seconds=3600, reason="x", asked_by=cast.owner
        ).public_id,
        "letter": letters.send(decision=written, kind="hold").public_id,
        **_under_review(stage),
        "stage": stage,
        "cast": cast,
        "agreement": cast.agreement.public_id,
        "amendment": cast.agreement.amendments.create(
            number=1, reason="x", changes={"title": ["a", "b"]}, effective_from="2098-01-01"
        ).public_id,
        "shareholder": cast.organisation.shareholders.create(name="Kim", percent=10).public_id,
        "contact": cast.organisation.contacts.create(name="Lee", phone="02-1234-5678").public_id,
        "department": cast.organisation.departments.create(name_ko="연구소").public_id,
        "relation": cast.organisation.relations.create(other=OrganisationFactory(), kind="group").public_id,
        "obligation": cast.agreement.obligations.create(kind="credit", text="Name us").public_id,
        "allocation": allocation.public_id,
        "lease": LeaseFactory(allocation=allocation, booked_by=cast.owner).public_id,
        "wait": WaitEntry.objects.create(
            allocation=allocation,
            asked_by=cast.owner,
            device_count=1,
            smallest=1,
            duration_seconds=3600,
            earliest_at="2098-01-01T00:00:00Z",
            latest_at="2099-01-01T00:00:00Z",
        ).public_id,
        **_idle(cast, allocation),
        "statement": _statement(cast.organisation),
        "organisation": cast.organisation.public_id,
        "partner": cast.organisation.public_id,
        "project": cast.project.public_id,
        "proposal": proposal.public_id,
        "progress": cast.project.progress_reports.create(
            period_from="2026-01-01",
            period_until="2026-02-01",
            achieved="x",
            written_by=cast.owner,
            submitted_at=timezone.now(),
        ).public_id,
        "attachment": attachment.public_id,
        "call": stage.call.public_id,
        "draft_call": draft_call.public_id,
        "call_document": draft_call.documents.create(file="calls/none.pdf", name="안내.pdf", sha256="0" * 64).public_id,
        "node": node.public_id,
        "window": MaintenanceWindow.objects.create(
            node=node, starts_at="2098-01-01T00:00:00Z", ends_at="2099-01-01T00:00:00Z", reason="fans"
        ).public_id,
        "weight": PoolWeight.objects.create(
            pool=stage.pool, weight=1500, valid_from="2098-01-01T00:00:00Z", reason="x", set_by=cast.officer
        ).public_id,
        "adjustment": allocation.adjustments.create(
            device_seconds=3600, reason="x", proposed_by=cast.officer
        ).public_id,
        "device": node.devices.first().public_id,
        "blackout": Blackout.objects.create(
            starts_at="2098-01-01T00:00:00Z", ends_at="2099-01-01T00:00:00Z", reason_ko="점검", reason_en="audit"
        ).public_id,
        "pool": stage.pool.public_id,
        "person": cast.officer.public_id,
        "user": cast.teammate,
        "invitation": Invitation.objects.create(
            organisation=cast.organisation,
            email="new@upstage.example.test",
            role="member",
            token_hash="0" * 64,
            expires_at="2099-01-01T00:00:00Z",
        ),
    }


def _object_of(name: str, world: dict[str, Any]) -> str:
    """Which object's id belongs into the address of this route."""
    last = name.split(":")[-1]
    if name.startswith("proposals:call-") and name not in CALLS:
        return str(world["draft_call"])
    if name in (*CALLS, "proposals:proposal-new", "proposals:proposal-check") or name.startswith("call-"):
        return str(world["call"])
    if last.startswith("assignment-"):
        return str(world["review"])
    if last.startswith("call-"):
        return str(world["call"])
    if last.startswith("progress") and last != "progress-new":
        return str(world["progress"])
    if last.startswith("statement"):
        return str(world["statement"])
    if last.startswith("idle"):
        kinds = {"idle-rule": "idle-rule", "idle-now": "lease"}
        return str(world[next((kinds[word] for word in kinds if last.startswith(word)), "idle-case")])
    if last in ("rules-of", "booking-rules-of"):
        return str(world["pool"])
    if last.startswith("blackout"):
        return str(world["blackout"])
    if last.startswith(("maintenance-window", "window")):
        return str(world["window"])
    if name in ("partners:agreement-new", "usage:figures-of"):
        return str(world["organisation"])
    if name in ("allocations:adjustment-new", "allocations:book", "allocations:book-check", "allocations:ledger"):
        return str(world["allocation"])
    if name in ("allocations:wait", "proposals:change-request-ask", "proposals:change-request-new"):
        return str(world["allocation"])
    for word in (
        "reviewer-invitation",
        "reviewer",
        "review",
        "step",
        "wait",
        "prepared",
        "letter",
        "change-request",
        "agreement",
        "amendment",
        "obligation",
        "shareholder",
        "contact",
        "department",
        "relation",
        "allocation",
        "adjustment",
        "weight",
        "lease",
        "organisation",
        "project",
        "proposal",
        "attachment",
        "node",
        "device",
        "pool",
        "person",
    ):
        if last.startswith(word):
            return str(world[word])
    owner = {"partners": "organisation", "projects": "project", "proposals": "proposal", "accounts": "person"}
    if last.startswith("sample"):
        return str(world["device"])
    return str(world[owner[name.split(":")[0]]]) if name.split(":")[0] in owner else "none-22222222"


def address_of(route: Route, world: dict[str, Any]) -> str:
    values = {
        "public_id": _object_of(route.name, world),
        "user_id": world["cast"].viewer.public_id if "member-remove" in route.name else world["user"].public_id,
        "invitation_id": world["invitation"].public_id,
        "pk": "1",
        "token": "no-such-token",
        "document_id": world["call_document"],
        "key": "none",
        "kind": "decline",
        "what": "hours",
        "xid": "48",
        "format": "json",
        "file_id": "att-22222222",
        "scope": "pool",
    }
    return reverse(route.name, kwargs={name: values[name] for name in route.parameters})
