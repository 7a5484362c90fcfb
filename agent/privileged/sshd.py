"""What sshd reads of us: the portal's CA, who is let in until when, and the certificates that are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from agent.privileged.files import put_in_place, safe_folder, write_whole
from agent.privileged.ledger import Tenant
from agent.privileged.places import Places, Refused
from agent.privileged.users import tool

AUTHORITY, REVOKED = "ca.pub", "revoked.krl"
MAX_SERIALS = 200_000


def trust(places: Places, key: str) -> None:
    """Trust the portal's CA, for ever: another one later is refused, root removes the file by hand to change it."""
    folder = safe_folder(places.ssh, 0o755)
    safe_folder(places.principals, 0o755)
    path = folder / AUTHORITY
    known = path.read_text().split() if path.exists() else None
    if known is not None and known[:2] != key.split()[:2]:
        raise Refused("another_authority")
    if known is None:
        write_whole(path, " ".join(key.split()[:2]) + "\n", 0o644)
    if not (folder / REVOKED).exists():  # sshd lets nobody in while the list that it is told of is missing
        _write_revoked(places, _refused(places))


def let_in(places: Places, tenant: Tenant) -> None:
    """The login's one principal, with the hard end: sshd itself lets nobody in after it, agent or no agent."""
    safe_folder(places.ssh, 0o755)
    folder = safe_folder(places.principals, 0o755)
    # In the machine's own zone, as sshd reads it without a suffix: a Z is understood from OpenSSH 9.1 on, and Ubuntu
    # 22.04 has 8.9, which would refuse the whole line.
    end = datetime.fromtimestamp(tenant.hard_end, UTC).astimezone().strftime("%Y%m%d%H%M%S")
    write_whole(folder / tenant.login, f'restrict,pty,expiry-time="{end}" {tenant.login}\n', 0o644)


def shut_out(places: Places, login: str) -> None:
    """Nobody is let in as this login."""
    (places.principals / login).unlink(missing_ok=True)


def refuse(places: Places, serials: tuple[int, ...]) -> None:
    """Refuse certificates with these serials from now on, and those that were refused before."""
    if not (places.ssh / AUTHORITY).exists():
        raise Refused("no_authority")
    everything = sorted({*_refused(places), *serials})
    if len(everything) > MAX_SERIALS:
        raise Refused("too_many_serials")
    write_whole(_list_path(places), json.dumps(everything), 0o600)
    _write_revoked(places, everything)


def _list_path(places: Places) -> Path:
    return safe_folder(places.state, 0o700) / "refused.json"


def _refused(places: Places) -> list[int]:
    path = _list_path(places)
    return json.loads(path.read_text()) if path.exists() else []


def _write_revoked(places: Places, serials: list[int]) -> None:
    """A KRL bound to the portal's CA. sshd opens it anew for every login, so it is replaced in one step."""
    said, draft = places.state / "refused.spec", places.ssh / f".{REVOKED}.new"
    write_whole(said, "".join(f"serial: {serial}\n" for serial in serials), 0o600)
    draft.unlink(missing_ok=True)
    words = ("ssh-keygen", "-q", "-k", "-f", str(draft), "-s", str(places.ssh / AUTHORITY), str(said))
    tool("no_revocation_list", *words)
    draft.chmod(0o644)
    put_in_place(draft, places.ssh / REVOKED)
