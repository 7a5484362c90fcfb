"""A Chromium for the browser tests: CHROMIUM, the system's, apt's (root on Debian), Playwright's own download.

`python -m tests.e2e.chromium` prints the path, getting one where there is none; exit 1 with the one command to run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
APT_PACKAGES = ("chromium", "fonts-nanum")
ADVICE = "no Chromium: run `apt-get install -y --no-install-recommends chromium fonts-nanum`, or set CHROMIUM to one"


class NoChromiumError(RuntimeError):
    """No Chromium is at hand; the message is the remedy."""


def find_chromium() -> str:
    """Path of a Chromium that is here already; NoChromiumError with the one command to run where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        if os.access(named, os.X_OK):
            return named
        raise NoChromiumError(f"CHROMIUM={named} is not an executable")
    for name in SYSTEM_NAMES:
        path = shutil.which(name)
        if path:
            return path
    downloaded = _playwrights_own()
    if downloaded:
        return downloaded
    raise NoChromiumError(ADVICE)


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(*command: str) -> bool:
    print("+ " + " ".join(command), file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, stdout=sys.stderr, env=environment, check=False).returncode == 0


def install_chromium() -> None:
    """Try apt where we may, then Playwright's download; whoever asks next finds what came of it."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "update", "-q")
        if _run("apt-get", "install", "-q", "-y", "--no-install-recommends", *APT_PACKAGES):
            return
    _run(sys.executable, "-m", "playwright", "install", "chromium")


def main() -> int:
    """Print the path of a Chromium, getting one where that can be done."""
    try:
        try:
            path = find_chromium()
        except NoChromiumError:
            if os.environ.get("CHROMIUM"):
                raise
            install_chromium()
            path = find_chromium()
    except NoChromiumError as error:
        print(f"bitgoeul: {error}. The browser tests will fail.", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
