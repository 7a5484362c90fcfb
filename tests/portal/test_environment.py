"""A missing or malformed variable stops the start with one line; secrets may come from files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.signatures import Purpose, fits, public_of, read_keys
from portal.demo.secrets import make_secrets, make_signing_key

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    **make_secrets(),
    "DATABASE_URL": "postgres://a:b@127.0.0.1:5432/c",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "ALLOWED_HOSTS": "portal.example.org",
    "SITE_URL": "https://portal.example.org",
    "EMAIL_URL": "consolemail://",
}


def start(**changes: str | None) -> "subprocess.CompletedProcess[str]":
    """Read the settings as every process does at its start."""
    given = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "portal.settings", **given}
    words = [sys.executable, "-c", "from django.conf import settings; print(settings.SECRET_KEY)"]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_web_server_keeps_what_it_loaded_out_of_every_search_for_garbage() -> None:
    told = "import gc, portal.wsgi; print(len(gc.get_objects()), gc.get_freeze_count())"
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "portal.settings", **GOOD}
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    looked_through, kept = map(int, done.stdout.split())
    assert 20 * looked_through < kept


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", None, "is not set"),
        ("SECRET_KEY", "", "is not set"),
        ("DATABASE_URL", "sqlite:///x", "must be a PostgreSQL URL"),
        ("DATABASE_URL", "nonsense", "must be a PostgreSQL URL"),
        ("REDIS_URL", "127.0.0.1:6379", "must be a URL like redis://"),
        ("NODE_SIGNING_KEY", "c2hvcnQ=", "32 bytes in base64"),
        pytest.param(
            "NODE_SIGNING_KEY",
            f"{GOOD['NODE_SIGNING_KEY']} {public_of(bytes(32))}:c2hvcnQ=",
            "did not sign the one after",
            id="NODE_SIGNING_KEY-earlier",  # every process makes keys of its own, and must collect the same tests
        ),
        ("SSH_CA_KEY", "not a key", "OpenSSH private key"),
        ("EMAIL_URL", "carrier-pigeon://", "is not a mail URL"),
        ("DEBUG", "perhaps", "must be true or false"),
        ("SECRET_KEY_FILE", "/no/such/file", "cannot be read"),
        ("ALLOWED_HOSTS", None, "is not set"),
    ],
)
def test_one_line_names_the_variable_and_the_remedy(name: str, value: str | None, words: str) -> None:
    changes = {name: value, "SECRET_KEY": None} if name.endswith("_FILE") else {name: value}
    done = start(**changes)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1 and lines[0].startswith(f"bitgoeul: {name} ") and words in lines[0]
    assert lines[0].endswith("See .env.example.")
    assert not value or len(value) < 12 or value.startswith("/") or value not in lines[0]  # it might be a secret


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret_key"
    secret.write_text("from-the-file-" + "x" * 40 + "\n")
    done = start(SECRET_KEY=None, SECRET_KEY_FILE=str(secret))
    assert done.stdout.strip() == "from-the-file-" + "x" * 40
    assert start(SECRET_KEY_FILE=str(secret)).stdout.strip() == GOOD["SECRET_KEY"]  # the variable wins
    secret.write_text("\n")
    empty = start(SECRET_KEY=None, SECRET_KEY_FILE=str(secret))
    assert empty.returncode == 1 and "SECRET_KEY_FILE" in empty.stderr and "empty" in empty.stderr


def change_key(*words: str) -> "subprocess.CompletedProcess[str]":
    """As an operator does it."""
    script = [sys.executable, "scripts/change_key.py", *words]
    return subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_signing_key_is_changed_in_its_file(tmp_path: Path) -> None:
    file, first = tmp_path / "node_signing_key", make_signing_key()
    file.write_text(first + "\n")
    file.chmod(0o444)
    assert change_key(str(file)).returncode == 0 and change_key("--stolen", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o444 and list(tmp_path.iterdir()) == [file]
    now, (second, oldest) = read_keys(file.read_text().split())
    assert oldest.public == public_of(read_keys([first])[0]) and first not in file.read_text()
    assert fits(oldest.public, Purpose.SUCCESSION, second.public, oldest.endorsement)
    assert second.endorsement == "" and public_of(now) not in (second.public, oldest.public)
    file.chmod(0o644)
    file.write_text("not a key")
    assert change_key(str(file)).returncode == 1 and file.read_text() == "not a key"
