"""Letters: the places that a text may have, how they are filled, and the texts that come with the portal.

A place is `{name}`, nothing more: no attribute, no expression, no tag, so that a text can only say what is given to it.
"""

import re
from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

PLACES = {
    "number": _("the proposal's number"),
    "title": _("the proposal's title"),
    "organisation": _("the organisation"),
    "call": _("the call"),
    "date": _("the day of the decision"),
    "reason": _("the reason of the decision"),
    "asked_gpus": _("GPUs asked for"),
    "asked_gpu_hours": _("GPU-hours asked for"),
    "awarded_gpus": _("GPUs awarded"),
    "awarded_gpu_hours": _("GPU-hours awarded"),
    "awards": _("what is awarded, line by line"),
    "answer_by": _("until when the award can be accepted"),
    "appeal": _("a sentence: how to appeal and until when, or that this is final"),
    "office": _("the name of this site"),
}
_PLACE = re.compile(r"\{([A-Za-z_][^{}\n]{0,60}|)\}")


def unknown_places(text: str) -> list[str]:
    """Names in braces that are no places, sorted: they would be sent as they stand."""
    return sorted({name for name in _PLACE.findall(text) if name not in PLACES})


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled, once: braces in a value are text."""
    return _PLACE.sub(lambda found: values.get(found.group(1), found.group(0)), text)


Texts = tuple[str, str, str, str]
"""Subject in Korean, body in Korean, subject in English, body in English."""

_HEAD_KO = "{organisation} 귀중\n\n"
_HEAD_EN = "To {organisation}\n\n"
_FOOT_KO = "\n\n{date}\n{office}"
_FOOT_EN = "\n\n{date}\n{office}"


def _letter(subject_ko: str, body_ko: str, subject_en: str, body_en: str) -> Texts:
    return (subject_ko, _HEAD_KO + body_ko + _FOOT_KO, subject_en, _HEAD_EN + body_en + _FOOT_EN)


STANDARD: dict[str, Texts] = {
    "award": _letter(
        "[{number}] GPU 지원 선정 통보",
        "귀 기관이 「{call}」에 제출하신 과제({number} 「{title}」)가 선정되었음을 알려 드립니다.\n\n"
        "배정 내용: GPU {awarded_gpus}개, {awarded_gpu_hours} GPU 시간\n{awards}\n\n"
        "{answer_by}까지 수락 또는 거절 의사를 알려 주시기 바랍니다. 기한이 지나면 배정은 효력을 잃습니다.\n\n{reason}",
        "[{number}] Award of GPUs",
        "we are pleased to tell you that your proposal “{title}” ({number}) under the call “{call}” has been selected."
        "\n\nAwarded: {awarded_gpus} GPUs, {awarded_gpu_hours} GPU-hours\n{awards}\n\n"
        "Please accept or refuse the award by {answer_by}. An award that is not answered by then expires.\n\n{reason}",
    ),
    "partial": _letter(
        "[{number}] GPU 지원 일부 선정 통보",
        "귀 기관이 「{call}」에 제출하신 과제({number} 「{title}」)가 일부 선정되었음을 알려 드립니다.\n\n"
        "신청 내용: GPU {asked_gpus}개, {asked_gpu_hours} GPU 시간\n"
        "배정 내용: GPU {awarded_gpus}개, {awarded_gpu_hours} GPU 시간\n{awards}\n\n"
        "사유:\n{reason}\n\n"
        "{answer_by}까지 수락 또는 거절 의사를 알려 주시기 바랍니다. 기한이 지나면 배정은 효력을 잃습니다.",
        "[{number}] Award of part of what you asked for",
        "your proposal “{title}” ({number}) under the call “{call}” has been selected for a part of what it asked for."
        "\n\nAsked for: {asked_gpus} GPUs, {asked_gpu_hours} GPU-hours\n"
        "Awarded: {awarded_gpus} GPUs, {awarded_gpu_hours} GPU-hours\n{awards}\n\n"
        "Reason:\n{reason}\n\n"
        "Please accept or refuse the award by {answer_by}. An award that is not answered by then expires.",
    ),
    "decline": _letter(
        "[{number}] GPU 지원 심사 결과 통보",
        "귀 기관이 「{call}」에 제출하신 과제({number} 「{title}」)는 선정되지 않았음을 알려 드립니다.\n\n"
        "사유:\n{reason}\n\n"
        "{appeal}",
        "[{number}] Result of your proposal",
        "we regret to tell you that your proposal “{title}” ({number}) under the call “{call}” was not selected.\n\n"
        "Reason:\n{reason}\n\n"
        "{appeal}",
    ),
    "hold": _letter(
        "[{number}] GPU 지원 심사 보류 통보",
        "귀 기관의 과제({number} 「{title}」)에 대한 결정을 보류하였음을 알려 드립니다. 별도 조치는 필요하지 않습니다."
        "\n\n사유:\n{reason}",
        "[{number}] Your proposal is on hold",
        "the decision on your proposal “{title}” ({number}) is on hold. You need not do anything.\n\nReason:\n{reason}",
    ),
    "dismiss": _letter(
        "[{number}] 이의신청 결과 통보(기각)",
        "과제({number} 「{title}」)에 대한 이의신청을 다른 담당자가 검토하였으나 받아들이지 않았음을 알려 드립니다.\n\n"
        "사유:\n{reason}",
        "[{number}] Your appeal is dismissed",
        "another officer has looked at your appeal on the proposal “{title}” ({number}) and has dismissed it.\n\n"
        "Reason:\n{reason}",
    ),
    "uphold": _letter(
        "[{number}] 이의신청 결과 통보(인용)",
        "과제({number} 「{title}」)에 대한 이의신청이 받아들여져 다시 심사함을 알려 드립니다.\n\n사유:\n{reason}",
        "[{number}] Your appeal is upheld",
        "your appeal on the proposal “{title}” ({number}) is upheld: the proposal is in review again.\n\n"
        "Reason:\n{reason}",
    ),
    "expire": _letter(
        "[{number}] GPU 배정 효력 만료 통보",
        "과제({number} 「{title}」)의 배정은 {answer_by}까지 회신이 없어 효력을 잃었음을 알려 드립니다. "
        "필요하시면 다시 신청하실 수 있습니다.",
        "[{number}] Your award has expired",
        "the award on your proposal “{title}” ({number}) was not answered by {answer_by} and has expired. "
        "You may propose again.",
    ),
}
"""By kind of letter. What an office changes is kept in a LetterTemplate."""
