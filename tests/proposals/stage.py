"""A call, a pool with devices, and the cast, for everything about proposals."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from cluster.models import Pool
from common.moments import agency_today
from proposals.asks import AskLine, DraftContent
from proposals.models import Call, Proposal
from proposals.selectors import window_of
from proposals.services import decisions, drafting
from tests.factories import Cast, PoolFactory, make_cast, make_node

HOUR = 3600


@dataclass
class Stage:
    """Eight H100 in one pool, one rolling call."""

    cast: Cast
    pool: Pool
    call: Call
    today: date

    def line(self, **changes: Any) -> AskLine:
        """Four GPUs for 100 hours each in 30 days from tomorrow."""
        first = self.today + timedelta(days=1)
        fields: dict[str, Any] = {
            "gpu_class": self.pool.gpu_class.code,
            "gpus": 4,
            "smallest_gpus": 2,
            "hours": 100,
            "window_from": first,
            "window_until": first + timedelta(days=29),
        }
        return AskLine(**{**fields, **changes})

    def content(self, *lines: AskLine, **changes: Any) -> DraftContent:
        """A complete proposal."""
        fields: dict[str, Any] = {
            "title": "Pretraining of the next Solar LLM",
            "purposes": ["preprocessing", "pretraining"],
            "plan": "Train it.",
            "data": "Public text.",
            "lines": list(lines) or [self.line()],
        }
        return DraftContent(**{**fields, **changes})

    def draft(self, *lines: AskLine, **changes: Any) -> Proposal:
        """A saved draft of the owner's."""
        return drafting.save_draft(
            actor=self.cast.owner,
            call=self.call,
            agreement=self.cast.agreement,
            content=self.content(*lines, **changes),
        )

    def submitted(self, *lines: AskLine) -> Proposal:
        """A submitted proposal."""
        return drafting.submit(actor=self.cast.owner, proposal=self.draft(*lines))

    def ask(self, proposal: Proposal, **changes: Any) -> decisions.AwardAsk:
        """The whole first line as an award."""
        line = proposal.lines.select_related("gpu_class").get()
        start, end = window_of(line.window_from, line.window_until)
        fields: dict[str, Any] = {
            "request_line": line,
            "pool": self.pool,
            "gpus": line.gpus,
            "gpu_seconds": line.gpu_seconds,
            "window_from": start,
            "window_until": end,
        }
        return decisions.AwardAsk(**{**fields, **changes})

    def awarded(self, **changes: Any) -> Proposal:
        """An awarded proposal; `changes` make it less than asked."""
        proposal = self.submitted()
        reason = "Scarce." if changes else ""
        return decisions.award(
            actor=self.cast.officer, proposal=proposal, lines=[self.ask(proposal, **changes)], reason=reason
        )

    def lines_form(self, *lines: AskLine, action: str = "save", **changes: Any) -> dict[str, Any]:
        """The form of the request lines as a browser sends it."""
        rows = list(lines) or [self.line()]
        data: dict[str, Any] = {
            "agreement": self.cast.agreement.public_id,
            "action": action,
            "lines-TOTAL_FORMS": len(rows),
            "lines-INITIAL_FORMS": 0,
        }
        for place, line in enumerate(rows):
            for name, value in vars(line).items():
                data[f"lines-{place}-{name}"] = str(value)
        return {**data, **changes}

    def about_form(self, **changes: Any) -> dict[str, Any]:
        """The first page of the form as a browser sends it."""
        content = self.content()
        about = {"agreement": self.cast.agreement.public_id, "title": content.title, "purposes": content.purposes}
        return {**about, "action": "save", **changes}


def make_stage() -> Stage:
    """The stage, ready."""
    cast = make_cast()
    pool = PoolFactory(name="h100")
    make_node(pool)
    call = Call.objects.create(
        title_ko="상시 지원",
        title_en="Rolling support",
        text_ko="지원합니다.",
        text_en="We support.",
        published_at=timezone.now() - timedelta(days=1),
    )
    call.pools.add(pool)
    return Stage(cast, pool, call, agency_today())


def browser(user: Any) -> Client:
    """A signed-in browser."""
    client = Client()
    client.force_login(user)
    return client
