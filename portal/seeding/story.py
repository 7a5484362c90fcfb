"""The story that `make demo` starts from, told through the same verbs that people use."""

import os
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import add_ssh_key
from cluster.models import GpuClass, Node, Pool
from common.actors import SEED
from partners.models import Agreement, Organisation
from partners.services.agreements import AgreementTerms, activate, register_agreement
from partners.services.members import add_member
from partners.services.organisations import register_organisation
from partners.services.related import add_relation, set_shareholder
from portal.seeding import strand
from portal.seeding.pdf import text_pdf
from portal.seeding.people import PEOPLE, Account, make_person, read_accounts, write_accounts
from portal.seeding.scale import registration_number
from proposals.models import Call, Proposal
from proposals.services.reviewers import Expertise, ProfileContent, profile_for, save_profile

HOUR = 3600
GPU_CLASSES = (
    ("h100-sxm-80", "H100 SXM 80 GB", "NVIDIA H100 80GB HBM3", 81_559),
    ("h200-sxm-141", "H200 SXM 141 GB", "NVIDIA H200", 143_771),
    ("a100-sxm-80", "A100 SXM 80 GB", "NVIDIA A100-SXM4-80GB", 81_920),
    ("b200-sxm-180", "B200 SXM 180 GB", "NVIDIA B200", 183_359),
    ("l40s-48", "L40S 48 GB", "NVIDIA L40S", 46_068),
    ("t4-16", "T4 16 GB", "Tesla T4", 15_360),
)
PARTNER, AGENCY = Organisation.Kind.PARTNER, Organisation.Kind.AGENCY
ORGANISATIONS = {
    "upstage": ("업스테이지", "Upstage", PARTNER, "medium", "gyeonggi", date(2020, 10, 5)),
    "mudeung": ("무등에이아이", "Mudeung AI", PARTNER, "micro", "gwangju", date(2023, 3, 2)),
    "agency": (
        "인공지능산업지원단",
        "AI Industry Support Agency",
        AGENCY,
        "institution",
        "gwangju",
        date(2019, 12, 16),
    ),
    "yeongsan": ("영산로보틱스", "Yeongsan Robotics", PARTNER, "small", "jeonnam", date(2018, 6, 11)),
}
"""Names, kind, size, region, founded on."""
SHAREHOLDERS = {
    "upstage": (("김소유", "41.20", ""), ("판교성장투자조합", "23.50", "")),
    "mudeung": (("정대표", "78.00", ""), ("광주스타트업펀드", "12.00", "")),
    "yeongsan": (("서영산", "62.50", ""), ("무등에이아이", "9.00", "mudeung"), ("Emily Carter", "1.50", "")),
}
"""Name, per cent, and who of these organisations it is. One of them reviews: the portal finds the conflict by it."""
SIGNATORIES = {
    "upstage": "김소유 대표이사",
    "mudeung": "정대표 대표이사",
    "yeongsan": "서영산 대표이사",
}
POOL = "h100"


def tell(folder: Path) -> list[Account]:
    """The whole story, once: a second call finds it told and changes nothing. Accounts go to accounts.json."""
    known = read_accounts(folder)
    if User.objects.filter(email=PEOPLE[0].email).exists() and known:
        return [Account(**line) for line in known.values()]
    with transaction.atomic():
        pool = make_machines()
        organisations = {key: _organisation(place, *names) for place, (key, names) in enumerate(ORGANISATIONS.items())}
        accounts, users = [], {}
        for person in PEOPLE:
            organisation = organisations[person.organisation]
            user, account = make_person(person, organisation.name_en, known.get(person.email, {}))
            users[user.email] = user
            accounts.append(account)
            if person.membership:
                add_member(actor=SEED, organisation=organisation, user=user, role=person.membership)
        for key, number, gpu_hours, gpus in (
            ("upstage", "AICA-2026-017", 20_000, 16),
            ("mudeung", "AICA-2026-021", 6_000, 8),
            ("yeongsan", strand.AGREEMENT, 20_000, strand.CEILING),
        ):
            _agreement(organisations[key], number, SIGNATORIES[key], gpu_hours=gpu_hours, gpus=gpus)
        _behind(organisations)
        rolling_call(pool)
        everything = tuple(Proposal.Purpose.values)
        _reviewer(users["reviewer@agency.example"], Expertise(everything, ("언어 모델", "음성", "컴퓨터 비전")), "")
        _reviewer(users["reviewer2@agency.example"], Expertise(everything, ("robotics", "로봇")), "KAIST")
        _demo_key(users["manager@upstage.example"], folder)
    write_accounts(folder, accounts)
    return accounts


def make_machines() -> Pool:
    """The GPU classes that NVML names, and one pool of H100."""
    for code, name, nvml_name, memory_mib in GPU_CLASSES:
        GpuClass.objects.get_or_create(
            code=code, defaults={"name": name, "nvml_name": nvml_name, "memory_mib": memory_mib}
        )
    pool, _created = Pool.objects.get_or_create(
        name=POOL,
        # A demonstration is told more than once on one node: its awards may promise far more than it has.
        defaults={"gpu_class": GpuClass.objects.get(code="h100-sxm-80"), "overcommit_percent": 900},
    )
    return pool


def missing_nodes(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not enrolled yet."""
    known = set(Node.objects.values_list("name", flat=True))
    return [name for name in names if name not in known]


def rolling_call(pool: Pool) -> Call:
    """The call that is always open."""
    call = Call.objects.create(
        title_ko="2026년 AI 스타트업 GPU 상시 지원",
        title_en="GPU support for AI startups 2026, rolling",
        text_ko=(
            "업무협약을 체결한 AI 스타트업이 데이터 전처리, 사전학습, 미세조정, 평가, 추론에 쓸 GPU를 지원합니다. "
            "마감 없이 접수 순서대로 검토하며, 보통 영업일 5일 이내에 결과를 알려 드립니다."
        ),
        text_en=(
            "GPUs for data preprocessing, pretraining, fine-tuning, evaluation and inference, for AI startups with an "
            "agreement. There is no deadline: proposals are looked at as they come, usually within five working days."
        ),
        published_at=timezone.now() - timedelta(days=30),
        told_at=timezone.now() - timedelta(days=30),
    )
    call.pools.add(pool)
    return call


def _organisation(
    place: int, name_ko: str, name_en: str, kind: str, size: str, region: str, founded_on: date
) -> Organisation:
    return register_organisation(
        actor=SEED,
        name_ko=name_ko,
        name_en=name_en,
        registration_number=registration_number(26_000_000 + place * 1_371),
        kind=kind,
        size=size,
        region=region,
        founded_on=founded_on,
    )


def _behind(organisations: Mapping[str, Organisation]) -> None:
    """Who holds shares, and who belongs together: what conflicts of interest are found by."""
    for key, rows in SHAREHOLDERS.items():
        for name, percent, whose in rows:
            number = organisations[whose].registration_number if whose else ""
            set_shareholder(
                actor=SEED,
                organisation=organisations[key],
                name=name,
                percent=Decimal(percent),
                registration_number=number,
            )
    other = organisations["yeongsan"].registration_number
    note = "음성 명령 공동 연구, 지분 9 %"
    add_relation(actor=SEED, organisation=organisations["mudeung"], other=other, kind="affiliate", note=note)


def _reviewer(user: User, judges: Expertise, affiliation: str) -> None:
    profile = profile_for(actor=SEED, user=user)
    content = ProfileContent(judges, affiliation=affiliation)
    save_profile(actor=SEED, profile=profile, content=content, revision=profile.revision)


def _agreement(organisation: Organisation, number: str, signatory: str, *, gpu_hours: int, gpus: int) -> Agreement:
    today = timezone.localdate()
    # Before the past that is told (`history`), which begins two months before today at the earliest.
    start = date(today.year, 1, 1) if today.month > 3 else date(today.year - 1, 7, 1)
    terms = AgreementTerms(
        number=number,
        title=f"{organisation.name_ko}-{ORGANISATIONS['agency'][0]} AI 컴퓨팅 업무협약",
        signed_on=start,
        valid_from=start,
        valid_until=start + timedelta(days=730),
        agency_signatory="오상진 단장",
        partner_signatory=signatory,
        cooperation=[choice.value for choice in Agreement.Cooperation],
        ceiling_gpu_seconds=gpu_hours * HOUR,
        ceiling_concurrent_gpus=gpus,
        gpu_classes=["h100-sxm-80"],
    )
    lines = (
        "MEMORANDUM OF UNDERSTANDING",
        f"No. {number}",
        f"{organisation.name_en} and {ORGANISATIONS['agency'][1]}",
        f"Valid {terms.valid_from} to {terms.valid_until}",
        f"Ceiling: {gpu_hours:,} GPU-hours, {gpus} GPUs at once, H100",
        "This is a document of the demonstration.",
    )
    document = SimpleUploadedFile(f"업무협약서 {number}.pdf", text_pdf(lines), content_type="application/pdf")
    agreement = register_agreement(
        actor=SEED, organisation=organisation, terms=terms, document=document, signed_on_paper=True
    )
    return activate(actor=SEED, agreement=agreement)


def _demo_key(user: User, folder: Path) -> None:
    """A key pair for the manager, so that `ssh` can be tried at once; the private half stays in the demo's folder."""
    path = folder / "keys" / "manager"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(private)
    path.with_suffix(".pub").write_text(public + "\n")
    add_ssh_key(actor=user, name="demo", public_key=public)
