"""The programme's pages at scale: `python -m bench.programme [--scale S|L] [--rounds 514]`.

A synthetic programme of that scale, and on top of it one call with 514 proposals under review, each with four steps and
three reviews of five criteria. Printed for each page: milliseconds p50 and p95, and SQL statements. Without `--scale`
both S and L are measured, and the statements must be the same at both, at most 15. Then 500 proposals are brought in
from a spreadsheet: once looked at, once saved.
"""

import argparse
import csv
import io
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from bench.page_queries import Page, staff
from bench.results_writer import percentile, report
from bench.servers import django_on_servers

MOST = 15
AIM_MS = 60
ROUND = 514
REVIEWS = 3
REVIEWERS = 60
VISITS = 25
IMPORTED = 500
HOUR = 3600


def _call(programme: Any, now: Any) -> Any:
    from proposals.models import Call, CallPool, CallStep, Criterion

    call = Call.objects.create(
        title_ko="시험 회차",
        title_en="Bench round",
        text_ko="-",
        text_en="-",
        published_at=now - timedelta(days=30),
        told_at=now,
    )
    CallPool.objects.create(call=call, pool=programme.pool, budget_gpu_seconds=1_000_000 * HOUR)
    for place, kind in enumerate(CallStep.Kind.values):
        CallStep.objects.create(call=call, kind=kind, due_at=now + timedelta(days=place - 1))
    for place in range(1, 6):
        Criterion.objects.create(
            call=call, place=place, label_ko=f"항목 {place}", label_en=f"Criterion {place}", weight=place
        )
    return call


def _proposals(programme: Any, call: Any, now: Any, count: int) -> list[Any]:
    from proposals.models import Proposal, ProposalStep, RequestLine

    people = {row.organisation_id: row.user for row in programme._owners()}
    organisations, agreements = programme.organisations, programme.agreements
    rows = Proposal.objects.bulk_create(
        Proposal(
            call=call,
            organisation=organisations[place % len(organisations)],
            agreement=agreements[place % len(agreements)],
            created_by=people[organisations[place % len(organisations)].pk],
            number=f"B{call.pk}-{place:04d}",
            title=f"Bench proposal {place} for speech and vision",
            purposes=["pretraining"],
            plan="Train a model. " * 40,
            data="Public text.",
            state="in_review",
            version=1,
            submitted_at=now - timedelta(days=5, minutes=place),
        )
        for place in range(count)
    )
    first = now.date() + timedelta(days=10)
    RequestLine.objects.bulk_create(
        RequestLine(
            proposal=row,
            gpu_class=programme.pool.gpu_class,
            gpus=8,
            smallest_gpus=4,
            hours=500,
            window_from=first,
            window_until=first + timedelta(days=60),
        )
        for row in rows
    )
    ProposalStep.objects.bulk_create(
        ProposalStep(proposal=row, version=1, kind=kind, place=place, state=state, opened_at=now, due_at=now)
        for row in rows
        for place, (kind, state) in enumerate(
            (("formal", "passed"), ("technical", "passed"), ("expert", "passed"), ("panel", "open"))
        )
    )
    return list(rows)


def _reviews(call: Any, proposals: list[Any], now: Any, scale: str) -> None:
    from accounts.models import RoleGrant, User
    from proposals.models import Assignment, Review, ReviewerProfile, Score

    people = User.objects.bulk_create(
        User(email=f"juror-{scale}-{n}@bench.invalid", name=f"Juror {n}", password="!") for n in range(REVIEWERS)
    )
    RoleGrant.objects.bulk_create(RoleGrant(user=person, role="reviewer") for person in people)
    ReviewerProfile.objects.bulk_create(
        ReviewerProfile(user=person, purposes=["pretraining"], topics=["speech"], load_limit=60) for person in people
    )
    assignments = Assignment.objects.bulk_create(
        Assignment(
            proposal=row,
            version=1,
            reviewer=people[(place * REVIEWS + turn) % REVIEWERS],
            state="done",
            sent_at=now,
            due_at=now,
        )
        for place, row in enumerate(proposals)
        for turn in range(REVIEWS)
    )
    reviews = Review.objects.bulk_create(
        Review(
            assignment=row,
            state="submitted",
            total=Decimal(row.pk * 37 % 9_000) / 100 + 10,
            comment="Sound.",
            partner_comment="Say more.",
            submitted_at=now,
        )
        for row in assignments
    )
    criteria = list(call.criteria.all())
    Score.objects.bulk_create(
        (
            Score(review=review, criterion=criterion, points=(review.pk + criterion.place) % 11, comment="Because.")
            for review in reviews
            for criterion in criteria
        ),
        batch_size=5_000,
    )


def _pages(programme: Any, call: Any, proposal: Any, officer: Any) -> Iterator[Page]:
    from django.urls import reverse

    def to(name: str, row: Any) -> str:
        return reverse(f"proposals:{name}", args=[row.public_id])

    yield Page("request queue", officer, reverse("proposals:queue"))
    yield Page("queue searched", officer, reverse("proposals:queue") + "?q=speech")
    yield Page("steps to take", officer, reverse("proposals:steps") + "?state=now")
    yield Page("ranking", officer, to("call-ranking", call))
    yield Page("ranking filtered, all columns", officer, to("call-ranking", call) + _all_columns())
    yield Page("ranking as CSV", officer, to("call-ranking", call) + "?format=csv")
    yield Page("assignment board", officer, to("call-assignments", call))
    yield Page("progress", officer, to("call-progress", call))
    yield Page("reviews side by side", officer, to("proposal-reviews", proposal))
    yield Page("proposal", officer, proposal.get_absolute_url())
    yield Page("organisation", officer, programme.organisations[0].get_absolute_url())
    yield Page("figures of the call", officer, to("call-figures", call))
    yield Page("ranking, API", officer, f"/api/v1/call-reviews/{call.public_id}/ranking/")


def _all_columns() -> str:
    names = ("organisation", "mean", "deviation", "range", "low", "high", "reviews", "within", "step", "size", "region")
    columns = "&".join(f"col={name}" for name in (*names, *(f"criterion_{place}" for place in range(1, 6))))
    return f"?q=speech&sort=-deviation&{columns}"


def _visit(page: Page, visits: int) -> tuple[float, float, float, int]:
    """(p50, p95, p50 of this process's own work, all in ms; statements); the first visit fills caches, uncounted."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(page.reader)
    client.get(page.url)
    times: list[float] = []
    works: list[float] = []
    for _turn in range(visits):
        started, worked = time.perf_counter(), time.process_time()
        answer = client.get(page.url)
        b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        times.append(1000 * (time.perf_counter() - started))
        works.append(1000 * (time.process_time() - worked))
        if answer.status_code != 200:
            sys.exit(f"{page.name} ({page.url}) answered {answer.status_code}")
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(page.url)
        b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    counted = sum(not row["sql"].startswith(("SAVEPOINT", "RELEASE SAVEPOINT")) for row in captured.captured_queries)
    return percentile(times, 0.5), percentile(times, 0.95), percentile(works, 0.5), counted


def _spreadsheet(programme: Any, call: Any) -> bytes:
    from django.utils import timezone

    from proposals.services.imports.columns import COLUMNS

    pairs = list(zip(programme.organisations, programme.agreements, strict=False))
    first = max(timezone.localdate(), *(agreement.valid_from for _organisation, agreement in pairs[:IMPORTED]))
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(column.ko for column in COLUMNS)
    for place in range(IMPORTED):
        organisation, agreement = pairs[place % len(pairs)]
        values = {
            "reference": f"I-{place}",
            "registration_number": organisation.registration_number,
            "agreement_number": agreement.number,
            "title": f"Imported proposal {place}",
            "purposes": "evaluation",
            "plan": "Measure it.",
            "gpu_class": programme.pool.gpu_class.code,
            "gpus": 1,
            "hours": 1,
            "window_from": first,
            "window_until": first + timedelta(days=5),
        }
        out.writerow(values.get(column.key, "") for column in COLUMNS)
    return text.getvalue().encode()


def _bring_in(programme: Any, call: Any, officer: Any, scale: str) -> None:
    """Say what an import of 500 proposals takes, dry and saved."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from proposals.services.imports import import_proposals

    content = _spreadsheet(programme, call)
    for dry in (True, False):
        started = time.perf_counter()
        with CaptureQueriesContext(connection) as captured:
            told = import_proposals(actor=officer, call=call, file=io.BytesIO(content), size=len(content), dry_run=dry)
        took = time.perf_counter() - started
        if told.problems:
            sys.exit(f"import: {told.problems[0]}")
        facts: dict[str, Any] = {"scale": scale, "rows": IMPORTED, "statements": len(captured), "saved": told.saved}
        report("programme.import", round(took, 2), "s", **facts)


def measure(scale: str, visits: int, count: int) -> dict[str, tuple[float, float, float, int]]:
    """What `_visit` says, by page, at one scale; undone at the end."""
    from django.db import connection, transaction
    from django.utils import timezone

    from portal.seeding.scale import SCALES, Programme

    with transaction.atomic():
        officer, now = staff("officer"), timezone.now()
        programme = Programme(SCALES[scale], now=now)
        programme.write()
        call = _call(programme, now)
        proposals = _proposals(programme, call, now, count)
        _reviews(call, proposals, now, scale)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        found = {page.name: _visit(page, visits) for page in _pages(programme, call, proposals[0], officer)}
        _bring_in(programme, call, officer, scale)
        transaction.set_rollback(True)
    return found


def main() -> int:
    """1 where a page takes more statements than it may, or more at L than at S."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=("S", "M", "L"), action="append")
    parser.add_argument("--visits", type=int, default=VISITS)
    parser.add_argument("--rounds", type=int, default=ROUND, help="proposals of the round")
    options = parser.parse_args()
    scales = options.scale or ["S", "L"]
    found: dict[str, dict[str, tuple[float, float, float, int]]] = {}
    with django_on_servers():
        for scale in scales:
            found[scale] = measure(scale, options.visits, options.rounds)
    broken = 0
    for scale, pages in found.items():
        for name, (p50, p95, worked, counted) in pages.items():
            same = all(other[name][-1] == counted for other in found.values())
            ok = counted <= MOST and same
            broken += not ok
            detail: dict[str, Any] = {"page": name, "scale": scale, "p95_ms": round(p95, 1), "cpu_ms": round(worked, 1)}
            detail |= {"statements": counted, "ok": ok}
            report("programme", round(p50, 1), "ms", proposals=options.rounds, aim_ms=AIM_MS, **detail)
    report("programme.pages_over", broken, "pages", of=sum(map(len, found.values())))
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
