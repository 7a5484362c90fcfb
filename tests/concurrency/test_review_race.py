"""Two who judge, save or remind at once: one of them does it, nothing is lost; each with a control."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from common.errors import InvalidTransition
from common.overtaken import SavedMeanwhile
from notifications.models import Notification
from proposals.models import Assignment, ProposalStep, Review
from proposals.services import reviewing, stepping
from proposals.services.reminding import remind
from proposals.services.reviewing import content_of
from tests.concurrency.test_operators_race import RACE, race
from tests.proposals.jury import make_jury, marks
from tests.proposals.stage import make_stage


@RACE
def test_of_two_verdicts_one_stands_and_of_two_drafts_none_is_lost() -> None:
    jury = make_jury(make_stage())
    cast, proposal = jury.stage.cast, jury.started()
    step = jury.step(proposal, "formal")

    def judge(actor: Any, verdict: str) -> Any:
        return stepping.judge(actor=actor, step=step, verdict=verdict, note="Seen.")

    results = race(lambda: judge(cast.officer, "pass"), lambda: judge(cast.administrator, "fail"))
    assert sum(isinstance(result, ProposalStep) for result in results) == 1, results
    assert sum(isinstance(result, InvalidTransition) for result in results) == 1, results

    assignment = jury.opened(jury.at_experts(), jury.reviewers[0])

    def save(points: int) -> Any:
        content = marks(points, points)
        return reviewing.save_draft(actor=jury.reviewers[0], assignment=assignment, content=content, revision=0)

    results = race(lambda: save(1), lambda: save(2))
    kept = [result for result in results if isinstance(result, Review)]
    late = [result for result in results if isinstance(result, SavedMeanwhile)]
    assert len(kept) == len(late) == 1, results
    stored = {each.name: each.stored for each in late[0].differences}
    assert stored == {
        f"points_{place}": str(points) for place, points in content_of(kept[0]).points.items()
    }  # the second is shown what the first has saved

    def blindly(points: int) -> int:  # the control: without a revision the later one silently wins
        return Review.objects.filter(assignment=assignment).update(comment=str(points))

    assert race(lambda: blindly(1), lambda: blindly(2)) == [1, 1]


@RACE
def test_two_clocks_remind_once() -> None:
    jury = make_jury(make_stage())
    assignment = jury.sent(jury.at_experts(), jury.reviewers[0])[0]
    due = timezone.now() + timedelta(days=1)
    Assignment.objects.filter(pk=assignment.pk).update(due_at=due)
    told = Notification.objects.filter(event="review_due")
    race(*[lambda: remind(now=timezone.now())] * 4)
    assert told.count() == 1
    Assignment.objects.filter(pk=assignment.pk).update(reminded_at=None)  # the control: the mark is what holds them
    remind(now=timezone.now())
    assert told.count() == 2
