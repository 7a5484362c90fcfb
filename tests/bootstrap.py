"""Before Django's settings load: secrets, and ONE fast PostgreSQL and Valkey for the whole run.

Loaded by `-p tests.bootstrap` (pyproject.toml). The controller starts the servers; xdist's workers inherit the URLs
and take a Valkey database each (pytest-django gives each its own PostgreSQL database).
BITGOEUL_TEST_USE_ENV=1 uses DATABASE_URL and REDIS_URL of the environment instead.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from portal.demo.secrets import make_secrets
from portal.embedded import EmbeddedServices
from tests.folders import open_folder

REPOSITORY = Path(__file__).resolve().parents[1]
_exits = ExitStack()


def is_xdist_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def set_environment(folder: Path) -> None:
    """Everything that portal.settings asks for, except the two URLs; what the shell set does not count."""
    os.environ.update(make_secrets())
    os.environ.update(
        DEBUG="false",
        DEMO="false",
        ALLOWED_HOSTS="testserver,127.0.0.1,localhost",
        SITE_NAME="Bitgoeul",
        SITE_URL="http://testserver",
        DEFAULT_LANGUAGE="ko",
        TIME_ZONE="Asia/Seoul",
        EMAIL_URL="memorymail://",
        MEDIA_ROOT=str(folder / "media"),
        DEMO_DIR=str(folder / "demo"),
        RATELIMIT="true",
        SHARED_SECONDS="0",
        METRICS_ALLOW="127.0.0.1,::1",
        LOG_LEVEL="WARNING",  # two lines for each of a hundred thousand requests are written for nobody
    )


def with_database_number(url: str, number: int) -> str:
    """The redis:// URL with another database number."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def keep_bytecode() -> None:
    """A run starts hundreds of Python processes: where the shell forbids it, each would compile every module anew."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def start_services() -> None:
    """Servers (or those of the environment), secrets and compiled translations; stopped with the run."""
    folder = _exits.enter_context(open_folder("bitgoeul-test-"))
    set_environment(folder)
    if os.environ.get("BITGOEUL_TEST_USE_ENV") != "1":
        services = _exits.enter_context(EmbeddedServices(folder, fast=True, environment={}))
        os.environ.update(DATABASE_URL=services.database_url, REDIS_URL=services.redis_url)
    if list(REPOSITORY.glob("*/management/commands/messages.py")):
        subprocess.run([sys.executable, "manage.py", "messages", "--compile"], cwd=REPOSITORY, check=True)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """A wrapper runs before pytest-django's own hook, which loads the settings."""
    if is_xdist_worker():
        number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) + 1
        if os.environ.get("BITGOEUL_TEST_USE_ENV") != "1":
            os.environ["REDIS_URL"] = with_database_number(os.environ["REDIS_URL"], number)
    else:
        keep_bytecode()
        start_services()
    return (yield)


def pytest_unconfigure() -> None:
    """The servers end with the run."""
    _exits.close()
