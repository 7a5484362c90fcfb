"""The embedded PostgreSQL and Valkey in a folder of their own, with durable settings, for the length of a benchmark."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.demo.secrets import make_secrets
from portal.embedded import EmbeddedServices

ROOT = Path(__file__).resolve().parent.parent
FIXED = {
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "DEBUG": "false",
    "DEMO": "false",
    "ALLOWED_HOSTS": "testserver,127.0.0.1",
    "SITE_NAME": "Bitgoeul",
    "SITE_URL": "http://testserver",
    "DEFAULT_LANGUAGE": "en",
    "TIME_ZONE": "Asia/Seoul",
    "EMAIL_URL": "memorymail://",
    "RATELIMIT": "false",
    "LOG_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",
}


@contextmanager
def open_folder(prefix: str) -> Iterator[Path]:
    """A folder for a while that others may pass through: as root, the database server runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def django_on_servers() -> Iterator[EmbeddedServices]:
    """Servers (those of DATABASE_URL and REDIS_URL where both are set), tables, and Django set up in this process."""
    with open_folder("bitgoeul-bench-") as folder, EmbeddedServices(folder) as services:
        os.environ.update(make_secrets())
        os.environ.update(FIXED, MEDIA_ROOT=str(folder / "media"), DEMO_DIR=str(folder / "demo"))
        os.environ.update(DATABASE_URL=services.database_url, REDIS_URL=services.redis_url)
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, check=True)
        import django

        django.setup()
        yield services
        from django.db import connections

        connections.close_all()
