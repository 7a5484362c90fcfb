"""SQL statements of each main page, with one row and with fifty of what it lists: `python -m bench.page_queries`.

To hold: at most 15 a page, and as many with fifty rows as with one. Everything happens in one transaction, undone at
the end. `--show` prints the statements.
"""

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.results_writer import report
from bench.servers import django_on_servers

MOST = 15
FEW, MANY = 1, 50


@dataclass(frozen=True)
class Page:
    """One page: who opens it, and where."""

    name: str
    reader: Any
    url: str


def staff(role: str, tag: str = "") -> Any:
    """A person of the agency with a second factor; `tag` tells several of one role apart."""
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    from accounts.models import RoleGrant, User

    user = User.objects.create_user(f"{role}{tag}@bench.invalid", name=role)
    RoleGrant.objects.create(user=user, role=role)
    TOTP.activate(user, generate_totp_secret())
    return user


def _submitted(proposal: Any, number: str) -> Any:
    """A copy of a proposal that waits for a decision, with its lines."""
    from common.ids import new_public_id

    lines = list(proposal.lines.all())
    waiting = copy.copy(proposal)
    waiting.pk, waiting.number, waiting.state, waiting._state.adding = None, number, "submitted", True
    waiting.public_id = new_public_id("prop")
    waiting.save(force_insert=True)
    for line in lines:
        line.pk, line.proposal, line._state.adding = None, waiting, True
        line.save(force_insert=True)
    return waiting


def _widen(lease: Any, count: int) -> None:
    """Give a running reservation devices of its own, `count` of them on one node more."""
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

    from allocations.models import Placement
    from cluster.models import Device, Node

    pool = lease.allocation.pool
    node = Node.objects.create(name=f"wide-{lease.public_id}", pool=pool, token_hash=f"wide-{lease.public_id}")
    for index in range(count):
        device = Device.objects.create(
            node=node,
            uuid=f"GPU-wide-{lease.pk}-{index}",
            index=index,
            gpu_class=pool.gpu_class,
            memory_mib=1024,
            state="in_use",
        )
        Placement.objects.create(
            lease=lease,
            device=device,
            board=device,
            slices=NumericRange(0, pool.gpu_class.memory_slices),
            window=DateTimeTZRange(lease.starts_at, lease.ends_at),
        )


def _pages(programme: Any, officer: Any, rows: int) -> Iterator[Page]:
    from django.urls import reverse

    from allocations.models import Lease
    from cluster.models import Node
    from proposals.models import Proposal

    owner, organisation = programme.users[0], programme.organisations[0]
    agreement, allocation = programme.agreements[0], programme.allocations[0]
    proposal = Proposal.objects.filter(organisation=organisation).order_by("pk")[0]
    waiting = _submitted(proposal, f"W{rows}")
    lease = Lease.objects.filter(allocation=allocation, state="active").order_by("pk")[0]
    _widen(lease, rows)
    node = Node.objects.filter(pool=programme.pool).latest("pk")
    yield Page("home of a partner", owner, reverse("home"))
    yield Page("home of the agency", officer, reverse("home"))
    yield Page("organisation", officer, organisation.get_absolute_url())
    yield Page("agreement", officer, agreement.get_absolute_url())
    yield Page("queue of proposals", officer, reverse("proposals:queue"))
    yield Page("award", officer, reverse("proposals:award", args=[waiting.public_id]))
    yield Page("allocation", owner, allocation.get_absolute_url())
    yield Page("booking", owner, reverse("allocations:book", args=[allocation.public_id]))
    yield Page("reservation", owner, lease.get_absolute_url())
    yield Page("fleet", officer, reverse("reports:fleet"))
    yield Page("agreements", officer, reverse("partners:agreements"))
    yield Page("reservations", officer, reverse("allocations:leases"))
    yield Page("node", officer, node.get_absolute_url())


def _count(page: Page) -> int:
    """Statements of the second visit: the first fills what lives as long as the process."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(page.reader)
    for _visit in range(2):
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(page.url)
        if answer.status_code != 200:
            sys.exit(f"{page.name} ({page.url}) answered {answer.status_code}")
    if "--show" in sys.argv:
        print(page.name, *(query["sql"][:400] for query in captured.captured_queries), sep="\n    ", file=sys.stderr)
    # inside our one transaction Django's own transactions are savepoints
    return sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE SAVEPOINT")) for query in captured.captured_queries)


def measure() -> dict[str, tuple[int, int]]:
    """(with one row, with fifty) by page."""
    from django.db import transaction
    from django.utils import timezone

    from portal.seeding.scale import Programme, Scale

    with transaction.atomic():
        officer, now = staff("officer"), timezone.now()
        counted: dict[int, dict[str, int]] = {}
        for rows in (FEW, MANY):
            programme = Programme(Scale(projects=1, allocations=rows, users=rows, devices=rows), now=now)
            programme.write()
            if rows == MANY:
                Programme(Scale(projects=2 * MANY, allocations=0, users=MANY, devices=8 * MANY), now=now).write()
            counted[rows] = {page.name: _count(page) for page in _pages(programme, officer, rows)}
        transaction.set_rollback(True)
    return {name: (few, counted[MANY][name]) for name, few in counted[FEW].items()}


def main() -> int:
    """1 when a page breaks the rule."""
    with django_on_servers():
        figures = measure()
    broken = 0
    for name, (few, many) in figures.items():
        ok = many <= MOST and few == many
        broken += not ok
        report("page_queries", many, "queries", page=name, with_one_row=few, with_fifty_rows=many, most=MOST, ok=ok)
    report("page_queries.pages_over", broken, "pages", of=len(figures))
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
