"""Is the portal ready, and what to tell the person who started it."""

import json
import re
import unicodedata
import urllib.error
import urllib.request
from pathlib import Path

from portal.demo.options import DemoOptions

ROLES_SHOWN = 4
NODES_READY = re.compile(r'^bitgoeul_nodes\{state="ready"\} (\S+)$', re.MULTILINE)


def ask(url: str) -> tuple[bool, str]:
    """(answered 200, what was said or why it could not be asked)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status == 200, answer.read(100_000).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return False, f"{error.code} {error.read(400).decode(errors='replace')}"
    except (OSError, ValueError) as error:
        return False, str(error)


def nodes_joined(url: str) -> int:
    """How many nodes the portal counts as ready; 0 where it cannot be asked."""
    answered, words = ask(f"{url}/metrics")
    found = NODES_READY.search(words) if answered else None
    return int(float(found[1])) if found else 0


def read_accounts(folder: Path) -> list[dict[str, object]]:
    """accounts.json as seed_demo wrote it; [] where there is none."""
    try:
        accounts: list[dict[str, object]] = json.loads((folder / "accounts.json").read_text())
    except FileNotFoundError:
        return []
    return accounts


def _width(text: str) -> int:
    """Columns on a terminal: Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def table(rows: list[list[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def greeting(options: DemoOptions, *, started_seconds: float) -> str:
    """The URL and the accounts."""
    lines = ["", f"Bitgoeul is ready after {started_seconds:.0f} s:  {options.url}", ""]
    accounts = read_accounts(options.folder)
    if accounts:
        rows = [["e-mail", "password", "roles", "organisation", "TOTP"]]
        for account in accounts:
            roles = account.get("roles") or []
            words = [str(role) for role in roles] if isinstance(roles, list) else [str(roles)]
            shown = ", ".join(words[:ROLES_SHOWN]) + (" …" if len(words) > ROLES_SHOWN else "")
            totp = "yes" if account.get("totp_secret") else "-"
            cells = [account.get("email"), account.get("password"), shown, account.get("organisation") or "-", totp]
            rows.append([str(cell) for cell in cells])
        lines += table(rows)
        lines += ["", "TOTP codes:  make demo-otp EMAIL=…"]
    lines += [f"Logs, mail and data:  {options.folder}", "Ctrl-C stops everything.", ""]
    return "\n".join(lines)
