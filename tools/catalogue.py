"""The Korean catalogue without GNU gettext: `python -m tools.catalogue extract|check|compile`.

Strings come from our Python files (Babel's extractor) and from Django templates (their own lexer turned into gettext
calls by Django's `templatize`, then read call by call). Entries are sorted by msgid and carry no line numbers, so that
a diff shows words, not code that moved.
"""

import ast
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
PO = ROOT / "locale" / "ko" / "LC_MESSAGES" / "django.po"
SKIP = {".venv", "var", "tests", "bench", "node_modules", "static", "simulator", "agent", "tools", "locale", ".git"}
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
CALL_STAGES = ("draft", "announced", "open", "over", "cancelled")
HEALTHS = ("ok", "warn", "drain", "fail")
_STRING = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"\b(n?p?gettext|_)\(\s*{_STRING}(?:\s*,\s*{_STRING})?(?:\s*,\s*{_STRING})?", re.DOTALL)
_PLACEHOLDER = re.compile(r"%\([A-Za-z_]+\)[a-z]|%[sd]")
Found = tuple[str | tuple[str, ...], str | None]


def _files(suffix: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob(f"*{suffix}")):
        if not SKIP & set(path.relative_to(ROOT).parts[:1]) and "migrations" not in path.parts:
            yield path


def _python_strings() -> Iterator[Found]:
    for path in _files(".py"):
        with path.open("rb") as file:
            for _line, message, _comments, context in extract("python", file, keywords=KEYWORDS):
                yield message, context


def _template_strings() -> Iterator[Found]:
    for suffix in (".html", ".txt"):
        for path in _files(suffix):
            if path.parts[len(ROOT.parts)] != "templates":
                continue
            for match in _CALL.finditer(templatize(path.read_text(), origin=str(path))):
                name, *quoted = match.groups()
                words = [ast.literal_eval(text) for text in quoted if text is not None]
                context = words.pop(0) if "pgettext" in name else None
                yield ((words[0], words[1]) if name.startswith("n") else words[0]), context


def _state_words() -> Iterator[Found]:
    """Every state of every noun: templates translate them by variable (`common.templatetags.bitgoeul.state_label`)."""
    from common.state_words import state_context

    for noun, states in state_words().items():
        yield noun, "noun"
        for state in states:
            yield state.replace("_", " "), state_context(noun)


def state_words() -> dict[str, tuple[str, ...]]:
    """By noun what a badge may say of it: the lifecycles, and two nouns that have none."""
    from tools.lifecycles import lifecycles

    tables = {lifecycle.noun: lifecycle.states for lifecycle in lifecycles()}
    return tables | {"call": CALL_STAGES, "health": HEALTHS}


def fresh() -> Catalog:
    """The strings of the tree with the translations that there are; what is no longer used is gone."""
    known = read()
    catalogue = Catalog(locale="ko", project="Bitgoeul", version="1", charset="utf-8", fuzzy=False)
    for message, context in sorted({*_python_strings(), *_template_strings(), *_state_words()}, key=str):
        if not message or not (message if isinstance(message, str) else message[0]).strip():
            continue
        # Django looks a plural form up by its singular: one entry serves `_("x")` and `ngettext("x", "xs")`
        old = known.get(message if isinstance(message, str) else message[0], context)
        string = old.string if old else ""
        known_forms = [string] if isinstance(string, str) else list(string or [""])
        string = tuple(known_forms) if isinstance(message, tuple) else known_forms[0]
        catalogue.add(message, string, context=context, flags=["python-format"] if _placeholders(message) else [])
    return catalogue


def read() -> Catalog:
    """The catalogue as it is kept."""
    if not PO.is_file():
        return Catalog(locale="ko")
    with PO.open("rb") as file:
        return read_po(file, locale="ko")


def text_of(catalogue: Catalog) -> str:
    """The catalogue as the file holds it: no dates, no line numbers."""
    out = io.BytesIO()
    write_po(out, catalogue, no_location=True, omit_header=True, sort_output=True, width=0)
    head = (
        'msgid ""\nmsgstr ""\n"Project-Id-Version: Bitgoeul\\n"\n"Language: ko\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
        '"Plural-Forms: nplurals=1; plural=0;\\n"\n\n'
    )
    return head + out.getvalue().decode()


def _placeholders(text: str | tuple[str, ...] | list[str]) -> set[str]:
    texts = [text] if isinstance(text, str) else text
    return {found for one in texts for found in _PLACEHOLDER.findall(one)}


def faults() -> list[str]:
    """What is wrong with the catalogue: stale, untranslated, or a translation that loses a placeholder."""
    wanted = fresh()
    found = []
    if not PO.is_file() or PO.read_text() != text_of(wanted):
        found.append("locale/ko is stale: run `make messages`")
    return found + [fault for message in wanted if message.id for fault in _faults_of(message)]


def _faults_of(message: Message) -> list[str]:
    strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if not all(strings):
        return [f"not translated: {message.id!r}"]
    ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
    allowed = _placeholders(list(ids))
    got = _placeholders(strings)
    if got - allowed or (len(ids) == 1 and got != allowed):
        return [f"placeholders differ: {message.id!r} -> {message.string!r}"]
    return []


def compile_catalogue() -> None:
    """Write the .mo file that Django reads."""
    out = io.BytesIO()
    write_mo(out, read())
    PO.with_suffix(".mo").write_bytes(out.getvalue())


def compile_if_stale() -> None:
    """Write the .mo file where there is none, or one older than its .po. Without it pages are English."""
    compiled = PO.with_suffix(".mo")
    if not compiled.exists() or compiled.stat().st_mtime_ns < PO.stat().st_mtime_ns:
        compile_catalogue()


def main(verb: str) -> int:
    """0, or 1 with the faults on standard error."""
    if verb == "extract":
        PO.parent.mkdir(parents=True, exist_ok=True)
        PO.write_text(text_of(fresh()))
    elif verb == "compile":
        compile_catalogue()
    else:
        found = faults()
        print("\n".join(found[:40]), file=sys.stderr)
        return int(bool(found))
    return 0


if __name__ == "__main__":
    import django.conf

    django.conf.settings.configure(USE_I18N=True)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
