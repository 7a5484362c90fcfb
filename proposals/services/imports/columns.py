"""The columns of an import, under the names that people give them."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import get_language


@dataclass(frozen=True)
class ImportColumn:
    """`key` is the name in the API; the header may say the key, the Korean or the English name."""

    key: str
    ko: str
    en: str
    needed: bool
    example: str
    help_ko: str
    help_en: str

    @property
    def label(self) -> str:
        """In the reader's language."""
        return self.en if (get_language() or "ko").startswith("en") else self.ko

    @property
    def help(self) -> str:
        """In the reader's language."""
        return self.help_en if (get_language() or "ko").startswith("en") else self.help_ko


def _column(key: str, ko: str, en: str, needed: bool, example: str, help_ko: str, help_en: str) -> ImportColumn:
    return ImportColumn(key, ko, en, needed, example, help_ko, help_en)


COLUMNS = (
    _column(
        "reference",
        "접수번호",
        "Reference",
        True,
        "2026-A-001",
        "원래 목록의 번호입니다. 같은 번호의 행은 한 신청서의 여러 신청 항목이 되고, 이미 가져온 번호는 건너뜁니다.",
        "The number in the original list. Rows of one number are request lines of one proposal; a number that was "
        "brought in before is passed by.",
    ),
    _column(
        "registration_number",
        "사업자등록번호",
        "Business registration number",
        True,
        "123-45-67891",
        "등록된 기관의 번호입니다.",
        "Of an organisation that is registered here.",
    ),
    _column(
        "agreement_number",
        "협약번호",
        "Agreement number",
        True,
        "MOU-2026-001",
        "그 기관의 체결된 협약입니다.",
        "Of an agreement of that organisation that is in force.",
    ),
    _column("title", "과제명", "Title", True, "한국어 언어 모델 사전학습", "200자 이내", "At most 200 characters."),
    _column(
        "purposes",
        "활용 목적",
        "Purpose",
        True,
        "사전학습; 평가",
        "여러 개는 세미콜론(;)으로 구분합니다.",
        "Several are divided by semicolons.",
    ),
    _column(
        "plan",
        "수행 계획",
        "Plan",
        True,
        "107억 매개변수 모델을 학습합니다.",
        "20,000자 이내",
        "At most 20,000 characters.",
    ),
    _column("data", "데이터", "Data", False, "공개 한국어 말뭉치", "5,000자 이내", "At most 5,000 characters."),
    _column(
        "gpu_class",
        "GPU 종류",
        "GPU class",
        True,
        "h100-sxm-80",
        "공모가 제공하는 GPU의 코드 또는 이름입니다.",
        "Code or name of a GPU class that the call offers.",
    ),
    _column("gpus", "GPU 수", "GPUs", True, "16", "1 이상의 정수", "A whole number from 1."),
    _column(
        "smallest_gpus",
        "최소 GPU 수",
        "Smallest useful",
        False,
        "8",
        "비우면 GPU 수와 같습니다.",
        "Empty: no fewer than asked.",
    ),
    _column("hours", "개당 시간", "Hours each", True, "480", "GPU 한 개당 시간", "Hours of each GPU."),
    _column("window_from", "사용 시작일", "From", True, "2027-01-04", "연-월-일", "Year-month-day."),
    _column(
        "window_until", "사용 종료일", "Until", True, "2027-02-28", "마지막 날을 포함합니다.", "The last day counts."
    ),
    _column(
        "submitted_at",
        "접수일시",
        "Received at",
        False,
        "2026-11-20 13:42:10",
        "한국 시각입니다. 비우면 가져오는 시각으로 합니다.",
        "In Korean time. Empty: the moment of the import.",
    ),
    _column("lead_name", "책임자", "Lead", False, "김하늘", "과제 책임자의 이름", "Name of the person in charge."),
    _column(
        "lead_email",
        "책임자 이메일",
        "Lead's e-mail",
        False,
        "lead@company.example",
        "기관 계정의 이메일이면 배정을 수락할 때 과제 참여자로 등록됩니다.",
        "Of an account in the organisation: that person joins the project at acceptance.",
    ),
)
BY_KEY = {column.key: column for column in COLUMNS}
OF_THE_PROPOSAL = tuple(
    column.key
    for column in COLUMNS
    if column.key not in ("gpu_class", "gpus", "smallest_gpus", "hours", "window_from", "window_until")
)
"""What the rows of one reference have in common: they may repeat it or leave it empty after the first row."""


def column_of(header: str, more: Mapping[str, ImportColumn] | None = None) -> ImportColumn | None:
    """The column that a header means; `more` are those of the call's questions, by their plain names."""
    name = plain_name(header)
    return _NAMES.get(name) or (more or {}).get(name)


def plain_name(text: str) -> str:
    """What of a header, or of a word in a cell, matters: its letters and digits."""
    return "".join(char for char in text.casefold() if char.isalnum())


_NAMES = {plain_name(name): column for column in COLUMNS for name in (column.key, column.ko, column.en)}
