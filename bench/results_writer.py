"""One way to say a figure: a JSON object a line, and a file under bench/results/."""

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def report(name: str, value: float | int, unit: str, *, folder: Path | None = None, **detail: Any) -> None:
    """Print `{"name", "value", "unit", "detail"}` and keep it in `folder` with the day and the machine's kind."""
    line = json.dumps({"name": name, "value": value, "unit": unit, "detail": detail}, ensure_ascii=False)
    print(line, flush=True)
    folder = folder or RESULTS
    folder.mkdir(exist_ok=True)
    stamp = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version()}
    with (folder / f"{name.split('.')[0]}.json").open("a") as file:
        file.write(json.dumps({**json.loads(line), **stamp}, ensure_ascii=False) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of at least one value; `share` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
