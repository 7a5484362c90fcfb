"""`python scripts/make_secrets.py [FOLDER]`: the files of docker-compose.yml's secrets. What is there already is kept.

FOLDER (default deploy/secrets) gets mode 0700, so that on the host only its owner reaches the files; the files
themselves are 0444, because compose binds them as they are and the portal's user in the container is another one.
"""

import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from portal.demo.secrets import make_secrets

POSTGRES = "postgres://bitgoeul:{}@postgres:5432/bitgoeul"
VALKEY = "redis://:{}@valkey:6379/0"


def keep(folder: Path, name: str, value: str) -> str:
    """The value of the file `name`, which is written if it is not there."""
    path = folder / name.lower()
    if not path.exists():
        path.write_text(value + "\n")
        path.chmod(0o444)
        print(f"made {path}")
    return path.read_text().strip()


def main() -> int:
    """Write what is missing. EMAIL_URL is the operator's own and is only named."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "deploy/secrets")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, value in make_secrets().items():
        keep(folder, name, value)
    keep(folder, "DATABASE_URL", POSTGRES.format(keep(folder, "POSTGRES_PASSWORD", secrets.token_urlsafe(30))))
    keep(folder, "REDIS_URL", VALKEY.format(keep(folder, "VALKEY_PASSWORD", secrets.token_urlsafe(30))))
    keep(folder, "GRAFANA_PASSWORD", secrets.token_urlsafe(30))
    if not (folder / "email_url").exists():
        print(f"still missing: {folder / 'email_url'}, one line like smtp+tls://user:password@mail.example.org:587")
    return 0


if __name__ == "__main__":
    sys.exit(main())
