"""Reasons as readers see them: the portal's own in their language, people's own as they wrote them."""

import pytest
from django.utils import translation

from common.templatetags.bitgoeul import reason_text


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("", ""),
        ("Not clean after use.", "사용 후 점검을 통과하지 못했습니다."),
        ("lease-7f3k: Not clean after use.", "lease-7f3k: 사용 후 점검을 통과하지 못했습니다."),
        ("lease-7f3k", "lease-7f3k"),
        ("Fan 2: broken", "Fan 2: broken"),
        ("팬 교체: 부품 대기", "팬 교체: 부품 대기"),
        ("Ends: ", "Ends: "),
    ],
)
def test_a_reason_is_said_in_the_readers_language(stored: str, shown: str) -> None:
    with translation.override("ko"):
        assert reason_text(stored) == shown
    with translation.override("en"):
        assert reason_text(stored) == stored
