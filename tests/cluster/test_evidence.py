"""Every check that an agent makes has a name in both languages."""

import ast
from pathlib import Path

from django.utils import translation

from cluster.templatetags.evidence import CHECKS, check_label, check_value

SOURCE = Path(__file__).resolve().parents[2] / "agent" / "device_checks.py"


def codes_of_the_agent() -> set[str]:
    """First arguments of Check(…) and _is(…), and the names of counters that must not grow."""
    tree = ast.parse(SOURCE.read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Check", "_is"):
            found |= {word.value for word in node.args[:1] if isinstance(word, ast.Constant)}
        if isinstance(node, ast.FunctionDef) and node.name == "change_checks":
            (loop,) = (inner for inner in node.body if isinstance(inner, ast.For))
            found |= {f"{name}_unchanged" for name in ast.literal_eval(loop.iter)}
    return found


def test_every_check_has_its_words() -> None:
    codes = codes_of_the_agent()
    assert len(codes) > 15
    assert codes == set(CHECKS)
    with translation.override("ko"):
        assert all(check_label(code) != CHECKS[code]._args[0] for code in codes)  # translated, not echoed


def test_values_are_said_in_the_readers_language() -> None:
    with translation.override("ko"):
        assert check_value("none") == "없음"
        assert check_value("below 1024 MiB") == "1024 MiB 미만"
        assert check_value("x16") == "x16"
        assert check_value(None) == "–"
