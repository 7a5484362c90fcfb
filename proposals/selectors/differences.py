"""What is different between two contents: word by word in texts, field by field in lines, team, answers and files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from proposals.models import Proposal

Op = Literal["same", "added", "removed"]
TEXTS = (("title", gettext_lazy("Title")), ("plan", gettext_lazy("Plan")), ("data", gettext_lazy("Data")))
LINE_FIELDS = (
    ("gpu_class", gettext_lazy("GPU class")),
    ("gpus", gettext_lazy("GPUs")),
    ("smallest_gpus", gettext_lazy("Smallest useful")),
    ("hours", gettext_lazy("Hours each")),
    ("window_from", gettext_lazy("From")),
    ("window_until", gettext_lazy("Until")),
)
TEAM_FIELDS = (
    ("name", gettext_lazy("Name")),
    ("email", gettext_lazy("E-mail")),
    ("part", gettext_lazy("Part in the project")),
    ("experience", gettext_lazy("Experience with GPUs")),
)
MOST_LINES = 2_000
MOST_WORDS = 4_000
"""Of a text, and of one changed passage: longer ones are shown as replaced whole, so that no page takes seconds."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Span:
    """A piece of text that stands in both, or in the later or the earlier one only."""

    op: Op
    text: str


@dataclass(frozen=True)
class Change:
    """Something that differs: `label` says what, `spans` how."""

    label: str | Promise
    spans: tuple[Span, ...]


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The changes from one content (selectors.contents.snapshot, or some of its keys) to another. No query."""
    both = before.keys() & after.keys()
    changes = [_change(label, before[key], after[key]) for key, label in TEXTS if key in both]
    if "purposes" in both:
        changes.append(_listed(_("Purpose"), _purposes(before["purposes"]), _purposes(after["purposes"])))
    if "agreement" in both:
        changes.append(_listed(_("Agreement"), [before["agreement"]], [after["agreement"]]))
    if "lines" in both:
        changes += _rows(before["lines"], after["lines"], LINE_FIELDS, lambda place, _row: _line_label(place))
    if "team" in both:
        changes += _rows(before["team"], after["team"], TEAM_FIELDS, _person_label)
    if "answers" in both:
        changes += _answers(before["answers"], after["answers"])
    if "attachments" in both:
        changes.append(_listed(_("Attachments"), _files(before["attachments"]), _files(after["attachments"])))
    if "reply" in both:
        changes.append(_change(_("What was changed"), before["reply"], after["reply"]))
    return [change for change in changes if any(span.op != "same" for span in change.spans)]


def spans_of(before: str, after: str) -> tuple[Span, ...]:
    """Two texts, line by line first and word by word inside the lines that differ."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) > MOST_LINES or len(new) > MOST_LINES:
        return tuple(span for span in (Span("removed", before), Span("added", after)) if span.text)
    spans: list[Span] = []
    for tag, i1, i2, j1, j2 in _matcher(old, new).get_opcodes():
        earlier, later = "".join(old[i1:i2]), "".join(new[j1:j2])
        spans += [Span("same", earlier)] if tag == "equal" else _words(earlier, later)
    return tuple(span for span in _joined(spans) if span.text)


def _words(before: str, after: str) -> list[Span]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) > MOST_WORDS or len(new) > MOST_WORDS:
        return [Span("removed", before), Span("added", after)]
    spans = []
    for tag, i1, i2, j1, j2 in _matcher(old, new).get_opcodes():
        if tag == "equal":
            spans.append(Span("same", "".join(old[i1:i2])))
        else:
            spans += [Span("removed", "".join(old[i1:i2])), Span("added", "".join(new[j1:j2]))]
    return spans


def _matcher(old: list[str], new: list[str]) -> "SequenceMatcher[str]":
    """Of long lists what repeats all the time is no anchor: twenty thousand empty lines took minutes to compare."""
    return SequenceMatcher(None, old, new, autojunk=len(old) * len(new) > 250_000)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Neighbours of one kind as one; single spaces between two changes join them, so that a phrase reads as one."""
    kept: list[Span] = []
    for span in spans:
        if not span.text:
            continue
        if kept and kept[-1].op == span.op:
            kept[-1] = Span(span.op, kept[-1].text + span.text)
        else:
            kept.append(span)
    return kept


def _change(label: str | Promise, before: Any, after: Any) -> Change:
    return Change(label, spans_of(_shown(before), _shown(after)))


def _listed(label: str | Promise, before: list[str], after: list[str]) -> Change:
    """What was taken away and what came, each whole."""
    spans = [Span("removed", one) for one in before if one not in after]
    spans += [Span("added", one) for one in after if one not in before]
    return Change(label, tuple(spans))


def _rows(before: list[Any], after: list[Any], fields: Any, label: Any) -> list[Change]:
    """Rows matched by what stays the same in them, so that one taken out of the middle is one change."""
    keys = [[tuple(str(row.get(name, "")) for name, _label in fields) for row in rows] for rows in (before, after)]
    found: list[Change] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = max(i2 - i1, j2 - j1)
        for step in range(pairs):
            old = before[i1 + step] if i1 + step < i2 else None
            new = after[j1 + step] if j1 + step < j2 else None
            place = (j1 if new is not None else i1) + step
            found += _row(old, new, fields, label(place, new or old))
    return found


def _row(old: Any, new: Any, fields: Any, label: str) -> list[Change]:
    if old is None or new is None:
        row, op = (new, "added") if old is None else (old, "removed")
        text = ", ".join(f"{name_label}: {_shown(row.get(name))}" for name, name_label in fields if row.get(name))
        return [Change(label, (Span(op, text),))]  # type: ignore[arg-type]
    return [
        Change(f"{label} · {name_label}", _whole(_shown(old.get(name)), _shown(new.get(name))))
        for name, name_label in fields
        if old.get(name) != new.get(name)
    ]


def _whole(before: str, after: str) -> tuple[Span, ...]:
    if " " in before or " " in after:
        return spans_of(before, after)
    return tuple(Span(op, text) for op, text in (("removed", before), ("added", after)) if text)  # type: ignore[arg-type]


def _answers(before: list[Any], after: list[Any]) -> list[Change]:
    old, new = ({row["question"]: row for row in rows} for rows in (before, after))
    asked = {**{row["question"]: row for row in before}, **new}
    language = "label_en" if (get_language() or "ko").startswith("en") else "label_ko"
    return [
        _change(_("Question: %(question)s") % {"question": row[language]}, given(old.get(key)), given(new.get(key)))
        for key, row in asked.items()
    ]


def given(row: Any) -> str:
    """An answer as a version keeps it, in the reader's language; "" for none."""
    value = row["value"] if row else ""
    if isinstance(value, dict):
        value = value.get("name") or value.get((get_language() or "ko")[:2], "")
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int):
        return number_format(value, 0, force_grouping=True)
    return "" if value is None else str(value)


def _purposes(codes: list[str]) -> list[str]:
    known = dict(Proposal.Purpose.choices)
    return [str(known.get(code, code)) for code in codes]


def _files(rows: list[Any]) -> list[str]:
    """Names; with the hash where one name stands for two files."""
    names = [row["name"] for row in rows]
    return [f"{row['name']} ({row['sha256'][:8]})" for row in rows] if len(set(names)) < len(names) else names


def _line_label(place: int) -> str:
    return _("Line %(place)s") % {"place": place + 1}


def _person_label(place: int, row: Any) -> str:
    return _("Team: %(name)s") % {"name": row.get("name") or place + 1}
