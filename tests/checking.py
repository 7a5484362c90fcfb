"""Settings for tools that read the project and reach no server: mypy's Django plugin, makemigrations --check."""

import os
from pathlib import Path

from tests.bootstrap import set_environment

set_environment(Path("var") / "checking")
os.environ.update(DATABASE_URL="postgres://nobody:none@127.0.0.1:9/none", REDIS_URL="redis://127.0.0.1:9/0")

from portal.settings import *  # noqa: E402, F403 - after the environment
