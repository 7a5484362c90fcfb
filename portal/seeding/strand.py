"""The story's second strand: a programme that is under way, told through the verbs of those who act in it.

It needs GPUs that nodes have reported, so it is told once they have joined; and two nodes, so that one is left for
whoever tries the story from its beginning. One reservation lasts a quarter of an hour, is really handed over and really
ends, with its evidence; what is past is written (`history`), so that figures and statements have something to tell. A
neighbour holds a part of a node from tomorrow on, so that somebody has to wait; all that is promised can be lent. What
follows from GPUs that stand idle is told last (`course`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from allocations.models import Allocation
from allocations.selectors.offers import Wish
from allocations.services.booking import book
from allocations.services.operating import announce_maintenance
from allocations.services.waitlist import join
from allocations.shapes import Shape
from cluster.models import Pool
from cluster.selectors import bookable_devices
from common.errors import RuleBroken
from partners.models import Agreement
from portal.seeding import course
from portal.seeding.history import GPUS, NEIGHBOURS_GPUS, NEIGHBOURS_TURNS, TURNS, tell_history
from proposals.asks import AskLine, DraftContent
from proposals.awards import AwardAsk
from proposals.models import Call, Proposal
from proposals.selectors.fitting import window_of
from proposals.services.answers import accept
from proposals.services.awarding import is_less
from proposals.services.decisions import award, start_review
from proposals.services.drafting import save_draft, submit

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AGREEMENT, NEIGHBOUR = "AICA-2026-033", "AICA-2026-021"
_DOMAINS = {AGREEMENT: "yeongsan.example", NEIGHBOUR: "mudeung.example"}
WHOLE_NODE = 8
KEPT = 4
"""GPUs that the first award guarantees."""
FEWEST_NODES = 2
CEILING = 64
"""GPUs at once of the agreement: with more nodes than that, or with two, there is nothing that anybody waits for."""


@dataclass(frozen=True)
class Told:
    """What became of it; `why_not` says what is missing where nothing was told."""

    told: bool
    why_not: str = ""


@dataclass(frozen=True)
class _Ask:
    """A proposal as it is written, and what is given of it."""

    title: str
    purposes: list[str]
    plan: str
    data: str
    gpus: int
    hours: int
    days: int


_PRETRAINING = _Ask(
    "로봇 조작용 시각·언어·행동 모델 사전학습",
    ["preprocessing", "pretraining"],
    "양팔 로봇의 작업 영상 2만 시간으로 30억 매개변수 시각·언어·행동 모델을 사전학습합니다.",
    "자체 수집 영상(비식별 처리)과 공개 로봇 데이터 세트",
    gpus=12,
    hours=400,
    days=60,
)
_TRIAL = _Ask(
    "대규모 분산학습 확장성 시험",
    ["evaluation"],
    "사전학습을 시작하기 전에 여러 노드에서 하루 동안 분산학습의 확장 효율을 측정합니다.",
    "합성 데이터",
    gpus=CEILING - WHOLE_NODE - GPUS,
    hours=48,
    days=8,
)
_PAST = _Ask(
    "로봇 영상 인식 모델 예비 학습",
    ["preprocessing", "pretraining"],
    "본 학습에 앞서 작은 모델로 학습 설정과 데이터 품질을 확인합니다.",
    "자체 수집 영상(비식별 처리)",
    gpus=GPUS,
    hours=500,
    days=60,
)
_SPEECH = _Ask(
    "한국어 방언 음성 합성 모델 미세조정",
    ["fine_tuning", "evaluation"],
    "전남·제주 방언 음성 800시간으로 음성 합성 모델을 미세조정하고 음질을 평가합니다.",
    "동의를 받아 녹음한 음성과 공개 음성 데이터 세트",
    gpus=NEIGHBOURS_GPUS,
    hours=400,
    days=60,
)
_WAITING = _Ask(
    "물류 로봇 실시간 추론 서비스 시범",
    ["inference"],
    "물류 센터 세 곳의 로봇에 실시간 추론을 제공하고 응답 시간을 측정합니다.",
    "고객사 물류 영상(비식별 처리)",
    gpus=2,
    hours=200,
    days=45,
)


@transaction.atomic
def tell_strand(pool: Pool, now: datetime) -> Told:
    """All of it or nothing, once: a second call finds it told and changes nothing. DomainError where a rule refuses."""
    agreement = Agreement.objects.select_related("organisation").get(number=AGREEMENT)
    if Proposal.objects.filter(agreement=agreement).exists():
        return Told(True)
    devices = list(bookable_devices(pool))
    whole = {name for name in (d.node.name for d in devices) if _size(devices, name) == WHOLE_NODE}
    if len(whole) < FEWEST_NODES:
        return Told(False, f"fewer than {FEWEST_NODES} whole nodes have joined")
    day = timezone.localtime(now, timezone.get_default_timezone()).replace(hour=9, minute=0, second=0, microsecond=0)
    past = _allocation(agreement, pool, _PAST, now, gpus=GPUS, hours=GPUS * _PAST.hours, kept=0)
    neighbour = Agreement.objects.select_related("organisation").get(number=NEIGHBOUR)
    speech = _allocation(neighbour, pool, _SPEECH, now, gpus=_SPEECH.gpus, hours=2 * _SPEECH.hours, kept=0)
    pretraining = _allocation(agreement, pool, _PRETRAINING, now, gpus=WHOLE_NODE, hours=3_200, kept=KEPT)
    _reserve(pretraining, now, day + DAY)
    _announce(pool, sorted(whole)[-1], day + 9 * DAY)
    if len(whole) > FEWEST_NODES:
        _reserve_beside(speech, day + DAY + HOUR)
    most = min(len(devices) - WHOLE_NODE - GPUS - NEIGHBOURS_GPUS, _TRIAL.gpus)
    trial = _allocation(agreement, pool, _TRIAL, now, gpus=most, hours=most * 48, kept=0)
    _wait(trial, most, day + DAY)
    start_review(actor=_user("officer@agency.example"), proposal=_submitted(agreement, _WAITING, now))
    there = [device for device in devices if device.node.name == min(whole)]
    tell_history([(past, TURNS), (speech, NEIGHBOURS_TURNS)], there, now)
    course.reserve(past, now, day + DAY)
    course.switch_rule_on(pool)
    return Told(True)


def _size(devices: list, name: str) -> int:
    return sum(device.node.name == name for device in devices)


def _user(email: str) -> User:
    return User.objects.get(email=email)


def _submitted(agreement: Agreement, ask: _Ask, now: datetime) -> Proposal:
    today = timezone.localdate(now, timezone.get_default_timezone())
    line = AskLine("h100-sxm-80", ask.gpus, 1, ask.hours, today, today + timedelta(days=ask.days))
    content = DraftContent(ask.title, ask.purposes, ask.plan, ask.data, [line])
    manager, call = _user(f"manager@{_DOMAINS[agreement.number]}"), Call.objects.earliest("published_at")
    draft = save_draft(actor=manager, call=call, agreement=agreement, content=content)
    return submit(actor=manager, proposal=draft)


def _allocation(
    agreement: Agreement, pool: Pool, ask: _Ask, now: datetime, *, gpus: int, hours: int, kept: int
) -> Allocation:
    """Proposed, reviewed, awarded and accepted: `hours` GPU-hours and `gpus` at once, `kept` of them guaranteed."""
    proposal = _submitted(agreement, ask, now)
    officer = _user("officer@agency.example")
    start_review(actor=officer, proposal=proposal)
    line = proposal.lines.get()
    given = AwardAsk(
        request_line=line,
        pool=pool,
        gpus=gpus,
        gpu_seconds=hours * 3600,
        window_from=now,
        window_until=window_of(line.window_from, line.window_until)[1],
        guaranteed_gpus=kept,
    )
    reason = "심사 결과에 따라 신청한 대로 배정합니다."
    if is_less({line.pk: line}, [given]):
        reason = "신청 수량은 이 풀의 이번 분기 잔여 용량을 넘으므로 나누어 배정합니다."
    award(actor=officer, proposal=proposal, lines=[given], reason=reason)
    project = accept(actor=_user(f"owner@{_DOMAINS[agreement.number]}"), proposal=proposal)
    return project.allocations.get()


def _reserve(allocation: Allocation, now: datetime, tomorrow: datetime) -> None:
    """One that soon is past, one that runs, one on a whole node tomorrow, one next week."""
    member, manager = _user("member@yeongsan.example"), _user("manager@yeongsan.example")
    for actor, count, start, length, note, shape in (
        (member, 1, now, HOUR / 4, "실행 환경 점검", Shape("any")),
        (member, 2, now, 3 * HOUR, "데이터 전처리", Shape("same_node")),
        (manager, WHOLE_NODE, tomorrow, 2 * DAY, "사전학습 1차", Shape("same_node")),
        (manager, 4, tomorrow + 6 * DAY, 3 * DAY, "사전학습 2차", Shape("any")),
    ):
        book(
            actor=actor,
            allocation=allocation,
            device_count=count,
            starts_at=start,
            ends_at=start + length,
            note=note,
            shape=shape,
        )


def _reserve_beside(allocation: Allocation, start: datetime) -> None:
    """A part of a node that is lent to nobody else meanwhile."""
    book(
        actor=_user("manager@mudeung.example"),
        allocation=allocation,
        device_count=NEIGHBOURS_GPUS,
        starts_at=start,
        ends_at=start + 3 * DAY,
        note="방언 음성 미세조정",
        shape=Shape("same_node"),
    )


def _announce(pool: Pool, node: str, start: datetime) -> None:
    announce_maintenance(
        actor=_user("operator@agency.example"),
        node=pool.nodes.get(name=node),
        starts_at=start,
        ends_at=start + 6 * HOUR,
        reason="전원 공급 장치 교체",
    )


def _wait(allocation: Allocation, count: int, tomorrow: datetime) -> None:
    """More GPUs than are left while tomorrow's reservation stands: whoever cancels that one sees the offer come."""
    wish = Wish(count, count, DAY, tomorrow, tomorrow + 2 * DAY + 15 * HOUR)
    try:
        with transaction.atomic():
            join(actor=_user("manager@yeongsan.example"), allocation=allocation, wish=wish, note="확장성 시험")
    except RuleBroken as error:
        if error.code != "free_now":  # nobody has to wait: then nobody does
            raise
