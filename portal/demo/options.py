"""PORT, DEMO_DIR and NODES, read from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.embedded import EmbeddedError

REPOSITORY = Path(__file__).resolve().parents[2]
PORTAL_ONLY = (
    *("DATABASE_URL", "SECRET_KEY", "NODE_SIGNING_KEY", "SSH_CA_KEY", "METRICS_TOKEN", "EMAIL_URL", "MEDIA_ROOT"),
    "DJANGO_SETTINGS_MODULE",
)
"""Variables that a node must not see: an agent holds a token and nothing else of the portal's."""


@dataclass(frozen=True)
class DemoOptions:
    """Where and how large the demo is."""

    folder: Path
    port: int
    node_count: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def node_names(self) -> list[str]:
        return [f"gpu-{number:02d}" for number in range(1, self.node_count + 1)]

    def node_folder(self, name: str) -> Path:
        return self.folder / "nodes" / name


def _number(environment: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise EmbeddedError(f"{name} must be a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)


def read_options(environment: Mapping[str, str]) -> DemoOptions:
    """EmbeddedError names a malformed variable."""
    folder = Path(environment.get("DEMO_DIR") or REPOSITORY / "var" / "demo")
    return DemoOptions(
        folder=folder.expanduser().resolve(),
        port=_number(environment, "PORT", 8000, 1, 65535),
        node_count=_number(environment, "NODES", 3, 0, 99),
    )


def portal_environment(
    options: DemoOptions, secrets: Mapping[str, str], *, database_url: str, redis_url: str
) -> dict[str, str]:
    """What manage.py, the web server and the workers get."""
    return {
        **os.environ,
        **secrets,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DEMO": "true",
        "DEBUG": "false",
        "DEMO_DIR": str(options.folder),
        "NODES": str(options.node_count),
        "PORT": str(options.port),
        "SITE_URL": options.url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "EMAIL_URL": f"filemail:///{options.folder / 'mail'}",  # four slashes: django-environ drops one
        "MEDIA_ROOT": str(options.folder / "media"),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONUNBUFFERED": "1",
    }


def node_environment(*, redis_url: str) -> dict[str, str]:
    """What a simulator and an agent get: the broker, and nothing of the portal's secrets."""
    inherited = {name: value for name, value in os.environ.items() if name not in PORTAL_ONLY}
    return {**inherited, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
