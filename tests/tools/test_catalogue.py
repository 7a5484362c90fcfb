"""The Korean catalogue's tool."""

import gettext
import os
import shutil
from pathlib import Path

import pytest

from tools import catalogue


def test_a_checkout_without_a_compiled_catalogue_gets_one_and_a_stale_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make demo` from a fresh clone would otherwise answer Korean readers in English."""
    po = tmp_path / "django.po"
    shutil.copy(catalogue.PO, po)
    monkeypatch.setattr(catalogue, "PO", po)
    compiled = po.with_suffix(".mo")

    catalogue.compile_if_stale()
    with compiled.open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Fleet") == "가동 현황"

    compiled.write_bytes(b"old")
    os.utime(compiled, ns=(0, 0))
    catalogue.compile_if_stale()
    assert compiled.read_bytes() != b"old"

    os.utime(po, ns=(0, 0))
    compiled.write_bytes(b"current")
    catalogue.compile_if_stale()
    assert compiled.read_bytes() == b"current"
