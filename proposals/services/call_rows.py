"""A call's terms out of its rows, and back into them."""

from typing import Any

from proposals.models import Call
from proposals.terms import (
    COLUMNS,
    ROWS,
    CallTerms,
    CriterionTerms,
    DateTerms,
    Offer,
    QuestionTerms,
    StepTerms,
    row_values,
)

LISTS = ("sizes", "regions")
PLACED = ("criteria", "questions")


def terms_of(call: Call) -> CallTerms:
    """What it says now: five queries."""
    columns = {name: getattr(call, name) for name in COLUMNS}
    columns |= {name: tuple(columns[name]) for name in LISTS}
    offers = call.offers.select_related("pool__gpu_class").order_by("pool_id")
    return CallTerms(
        **columns,
        offers=tuple(Offer(row.pool, row.budget_gpu_seconds) for row in offers),
        criteria=tuple(
            CriterionTerms(*_labels(row), row.weight, row.scale, row.comment_needed) for row in call.criteria.all()
        ),
        questions=tuple(
            QuestionTerms(
                row.label_ko,
                row.label_en,
                row.kind,
                row.help_ko,
                row.help_en,
                row.is_required,
                tuple(row.choices_ko),
                tuple(row.choices_en),
            )
            for row in call.questions.all()
        ),
        steps=_steps_of(call),
        dates=tuple(DateTerms(row.on, *_labels(row)) for row in call.dates.all()),
    )


def write(call: Call, new: CallTerms, changed: set[str]) -> None:
    """Put the changed parts into the rows; the call's row is locked by the caller."""
    columns = sorted(changed & set(COLUMNS))
    for name in columns:
        value = getattr(new, name)
        setattr(call, name, list(value) if name in LISTS else value)
    if columns:
        call.save(update_fields=columns)
    for name in ROWS:
        if name in changed:
            _write_rows(call, name, getattr(new, name))


def _labels(row: Any) -> tuple[str, str, str, str]:
    return row.label_ko, row.label_en, row.help_ko, row.help_en


def _steps_of(call: Call) -> tuple[StepTerms, ...]:
    order = list(call.steps.model.Kind.values)
    rows = sorted(call.steps.select_related("owner"), key=lambda row: order.index(row.kind))
    return tuple(StepTerms(row.kind, row.owner, row.due_at) for row in rows)


def _write_rows(call: Call, name: str, rows: tuple[Any, ...]) -> None:
    """Rows keep their keys where they can: by place, by pool, by kind; what is left over goes."""
    manager = getattr(call, name)
    had = list(manager.order_by("place" if name in PLACED else "pk"))
    key = {"offers": lambda row: row.pool, "steps": lambda row: row.kind}.get(name)
    kept = {key(row): row for row in had} if key else dict(enumerate(had))
    for place, row in enumerate(rows):
        values = row_values(row) | ({"place": place} if name in PLACED else {})
        found = kept.pop(key(row) if key else place, None) or manager.model(call=call)
        for field, value in values.items():
            setattr(found, field, value)
        found.save()
    for row in kept.values():
        row.delete()
