"""How a node comes into the house: a join token once, its own token once, its inventory confirmed by an operator."""

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.rules import may_run_nodes
from audit.services import record
from cluster.lifecycle import NODE
from cluster.models import Device, JoinToken, Node, Pool
from cluster.services import devices as device_verbs
from cluster.services.nodes import hash_token
from common.actors import SystemActor
from common.errors import Forbidden, RuleBroken, WrongState
from common.permissions import require

JOIN_TOKEN_LIFE = timedelta(hours=24)


@transaction.atomic
def create_node(*, actor: Any, name: str, pool: Pool, expected_devices: int | None = None) -> tuple[Node, str]:
    """(node in `joining`, join token): the token is shown once and opens the door once, for a day. Operators only."""
    require(actor, may_run_nodes)
    try:
        with transaction.atomic():
            node = Node.objects.create(name=name, pool=pool, expected_devices=expected_devices)
    except IntegrityError:
        raise RuleBroken(
            _("There is a node of this name already."),
            code="name_taken",
            remedy=_("Choose another name, or give the existing node a new join token."),
            field="name",
        ) from None
    changes = {"name": name, "pool": pool.public_id, "expected_devices": expected_devices}
    record(actor=actor, verb="node.register", target=node, changes=changes)
    return node, issue_join_token(actor=actor, node=node)


@transaction.atomic
def issue_join_token(*, actor: Any, node: Node) -> str:
    """A new join token; those not used yet die. Operators only. A node that has its own token keeps it until the use.

    WrongState for a retired node.
    """
    require(actor, may_run_nodes)
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    _refuse_retired(node)
    node.join_tokens.filter(used_at=None).delete()
    token = secrets.token_urlsafe(32)
    expires_at = timezone.now() + JOIN_TOKEN_LIFE
    JoinToken.objects.create(node=node, token_hash=hash_token(token), expires_at=expires_at)
    record(actor=actor, verb="node.join_token", target=node, changes={"expires_at": expires_at})
    return token


@transaction.atomic
def join(*, token: str) -> tuple[Node, str]:
    """(node, its permanent token) for a join token that is known, unused and in time; Forbidden for any other.

    The node's row is locked: of two agents with the same token one gets in. The node's token of before dies.
    """
    wanted = JoinToken.objects.filter(token_hash=hash_token(token))
    node = Node.objects.select_for_update(no_key=True).filter(join_tokens__in=wanted).first()
    row = wanted.first()  # the node's row is locked, as whoever makes or drops tokens locks it
    if node is None or row is None or row.used_at is not None or row.expires_at <= timezone.now():
        raise Forbidden(
            _("This join token is not known, was used, or is too old."),
            code="join_token",
            remedy=_("Let an operator make a new one on the node's page."),
        )
    row.used_at = timezone.now()
    row.save(update_fields=["used_at"])
    permanent = _new_token(node)
    record(actor=SystemActor(f"node {node.name}"), verb="node.join", target=node)
    return node, permanent


@transaction.atomic
def rotate_token(*, actor: Any, node: Node, reason: str) -> str:
    """A new permanent token, shown once; the old one is refused from this moment. Operators only."""
    require(actor, may_run_nodes)
    node = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    _refuse_retired(node)
    token = _new_token(node)
    record(actor=actor, verb="node.rotate_token", target=node, changes={"reason": reason})
    return token


@transaction.atomic
def confirm_inventory(*, actor: Any, node: Node, uuids: Iterable[str], accept_difference: bool = False) -> Node:
    """These GPUs belong there: they may be booked, and a joining node is ready. Operators only.

    `uuids` are those that the operator has seen: one that came since is not confirmed unseen. RuleBroken where nothing
    of it waits, or where count or class differ from what was expected and `accept_difference` does not say so.
    """
    require(actor, may_run_nodes)
    seen = set(uuids)
    rows = device_verbs.lock(node.devices.filter(uuid__in=seen, awaiting_confirmation=True))
    lockable = Node.objects.select_for_update(of=("self",), no_key=True)
    node = lockable.select_related("pool__gpu_class").get(pk=node.pk)
    if not rows or {device.uuid for device in rows} != seen:
        raise WrongState(
            _("This is no longer what the node reports."),
            code="inventory_changed",
            remedy=_("Look at the inventory again and confirm what you see."),
        )
    found = differences(node)
    if found and not accept_difference:
        raise RuleBroken(
            _("The inventory differs from what was expected. %(differences)s") % {"differences": " ".join(found)},
            code="inventory_differs",
            remedy=_("Mend the node, or accept the difference."),
            field="accept_difference",
            facts={"differences": found},
        )
    Device.objects.filter(pk__in=[device.pk for device in rows]).update(awaiting_confirmation=False)
    before = node.state
    if NODE.allows(node.state, "confirm"):
        node.state = NODE.next(node.state, "confirm")
        node.save(update_fields=["state"])
    changes = {"devices": sorted(seen), "state": [before, node.state], "differences": found}
    record(actor=actor, verb="node.confirm_inventory", target=node, changes=changes)
    return node


def differences(node: Node) -> list[str]:
    """Sentences about how the inventory differs from what was expected: the count, and the pool's class of GPU."""
    classes = list(node.devices.exclude(state="retired").values_list("gpu_class__name", flat=True))
    found = []
    if node.expected_devices is not None and len(classes) != node.expected_devices:
        values = {"expected": node.expected_devices, "found": len(classes)}
        found.append(_("%(expected)s GPUs were expected and %(found)s are there.") % values)
    wrong = sorted({name for name in classes if name != node.pool.gpu_class.name})
    if wrong:
        values_of = {"pool": node.pool.name, "expected": node.pool.gpu_class.name, "found": ", ".join(wrong)}
        found.append(_("The pool %(pool)s is of %(expected)s, and there is %(found)s.") % values_of)
    return found


def _new_token(node: Node) -> str:
    token = secrets.token_urlsafe(32)
    node.token_hash = hash_token(token)
    node.save(update_fields=["token_hash"])
    return token


def _refuse_retired(node: Node) -> None:
    if node.state == "retired":
        raise WrongState(_("This node is retired."), code="retired", remedy=_("Enrol it under a new name."))
