"""Words that are the same on every page; CONTRIBUTING.md writes them down."""

import re

from tests.architecture.tree import ROOT

COUNTER = re.compile(r"(?:GPU|인스턴스)\S*\s?(?:%\(\w+\)s|\d+)(?:장|대|매)(?![가-힣]*(?:비|상|치))")


def test_gpus_and_instances_are_counted_with_one_korean_counter() -> None:
    texts = (ROOT / "locale/ko/LC_MESSAGES/django.po").read_text() + (ROOT / "README.ko.md").read_text()
    assert not COUNTER.findall(texts) and "**개**" in (ROOT / "CONTRIBUTING.md").read_text()
