"""The environment, read once; a missing or malformed value stops the start with one clear line."""

import base64
import binascii
import os
import sys
import warnings
from pathlib import Path
from typing import NoReturn

import environ
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from common.signatures import EarlierKey, read_keys

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def stop(name: str, reason: str) -> NoReturn:
    """End the process with one line that names the variable and the remedy."""
    sys.exit(f"bitgoeul: {name} {reason}. See .env.example.")


class Environment:
    """Typed look-ups over os.environ (and .env, where there is one)."""

    def __init__(self) -> None:
        self._env = environ.Env()
        dotenv = BASE_DIR / ".env"
        if dotenv.is_file():
            self._env.read_env(str(dotenv))

    def text(self, name: str, default: str | None = None) -> str:
        """A non-empty string: the variable, or what stands in the file that NAME_FILE names (secrets of containers)."""
        value = os.environ.get(name) or self._from_file(name) or default
        if not value:
            stop(name, "is not set")
        return value

    def _from_file(self, name: str) -> str | None:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            return None
        try:
            value = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            stop(f"{name}_FILE", f"names {path}, which cannot be read ({type(error).__name__})")
        return value or stop(f"{name}_FILE", f"names {path}, which is empty")

    def flag(self, name: str, default: bool = False) -> bool:
        """true/false."""
        value = os.environ.get(name, "")
        if value.lower() not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
            stop(name, f"must be true or false, not {value!r}")
        return default if value == "" else value.lower() in ("1", "true", "yes", "on")

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds; stops the start for anything else."""
        text = self.text(name, str(default))
        if not text.isdecimal() or not least <= int(text) <= most:
            stop(name, f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    def words(self, name: str, default: str | None = None) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def database(self, name: str) -> dict[str, object]:
        """A Django DATABASES entry out of a postgres:// URL."""
        url = self.text(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of an unknown scheme; the line below says it better
                config = self._env.db_url_config(url)
        except Exception:  # django-environ raises several kinds for a malformed URL
            stop(name, "is not a database URL like postgres://user:password@host:5432/name")
        if config.get("ENGINE") != "django.db.backends.postgresql":
            stop(name, "must be a PostgreSQL URL (postgres://…)")
        return dict(config)

    def redis(self, name: str) -> str:
        """A redis:// URL."""
        url = self.text(name)
        if not url.startswith(("redis://", "rediss://", "unix://")):
            stop(name, "must be a URL like redis://:password@host:6379/0")
        return url

    def mail(self, name: str) -> dict[str, object]:
        """Django's EMAIL_* settings out of a URL (smtp+tls://, consolemail://, filemail:///folder)."""
        url = self.text(name)
        try:
            return dict(self._env.email_url_config(url))
        except Exception:
            stop(name, "is not a mail URL like smtp+tls://user:password@host:587")

    def signing_keys(self, name: str) -> tuple[bytes, tuple[EarlierKey, ...]]:
        """An Ed25519 private key, 32 raw bytes in base64; after it the public keys before it, newest first."""
        words = self.text(name).split() or [""]
        try:
            read_keys(words[:1])
        except ValueError:
            stop(name, "must be 32 bytes in base64 (an Ed25519 private key)")
        try:
            return read_keys(words)
        except ValueError:
            stop(name, "names an earlier key that is none, or did not sign the one after it (scripts/change_key.py)")

    def ssh_key(self, name: str) -> str:
        """An unencrypted OpenSSH private key, whole, in base64 or with \\n for line ends."""
        text = self.text(name)
        if "PRIVATE KEY" not in text:
            try:
                text = base64.b64decode(text, validate=True).decode()
            except (ValueError, binascii.Error):
                stop(name, "must be an OpenSSH private key in base64")
        text = text.replace("\\n", "\n")
        try:
            load_ssh_private_key(text.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            stop(name, "is not a readable, unencrypted OpenSSH private key")
        return text
